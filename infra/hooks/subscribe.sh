#!/bin/sh
# Make uploads, and jobs where asked for, call the app. azd runs this after each deployment; running it again changes nothing.
set -eu

: "${AZURE_RESOURCE_GROUP_NAME:?run this through azd, which sets it}"

# The key that the subscription carries appears once the host has indexed the functions.
tries=30
until [ -n "$(az functionapp keys list --resource-group "$AZURE_RESOURCE_GROUP_NAME" \
  --name "$FUNCTION_APP_NAME" --query "systemKeys.blobs_extension && 'yes'" --output tsv 2>/dev/null)" ]; do
  tries=$((tries - 1))
  if [ "$tries" -eq 0 ]; then
    echo "The app did not start within five minutes: look at its log stream, then run 'azd hooks run postdeploy'." >&2
    exit 1
  fi
  sleep 10
done

az deployment group create \
  --resource-group "$AZURE_RESOURCE_GROUP_NAME" \
  --name upload-subscription \
  --template-file infra/upload-subscription.bicep \
  --parameters \
  functionAppName="$FUNCTION_APP_NAME" \
  systemTopicName="$SYSTEM_TOPIC_NAME" \
  dataStorageName="$DATA_STORAGE_NAME" \
  deadLetterContainerName="$DEAD_LETTER_CONTAINER_NAME" \
  --output none

if [ "$SUBSCRIBE_TO_JOBS" = true ]; then
  az deployment group create \
    --resource-group "$AZUREML_WORKSPACE_GROUP" \
    --name job-subscription \
    --template-file infra/job-subscription.bicep \
    --parameters \
    workspaceName="$AZUREML_WORKSPACE_NAME" \
    functionAppName="$FUNCTION_APP_NAME" \
    functionAppResourceGroup="$AZURE_RESOURCE_GROUP_NAME" \
    systemTopicName="$JOB_TOPIC_NAME" \
    --output none
fi

echo "Uploads to https://$DATA_STORAGE_NAME.blob.core.windows.net/uploads now start runs."
