#!/bin/sh
# See that the app runs, then make uploads, and jobs where asked for, call it. azd runs this after each deployment; running
# it again changes nothing. Azure can report that a deployment succeeded while the app has no functions at all
# (github.com/Azure/azure-functions-host/issues/11915): this fails then, and says what to look at.
set -eu

: "${AZURE_RESOURCE_GROUP_NAME:?run this through azd, which sets it}"

# What the app still lacks; nothing if it is ready.
missing() {
  listed=$(az functionapp function list --resource-group "$AZURE_RESOURCE_GROUP_NAME" \
    --name "$FUNCTION_APP_NAME" --query "[].name" --output tsv 2>&1) || {
    echo "a list of its functions: $listed"
    return
  }
  absent=$(printf '%s\n' "$listed" | tr -d '\r' | sed "s|^$FUNCTION_APP_NAME/||" |
    grep -vxF -f - infra/hooks/functions.txt | tr '\n' ' ') || true
  if [ -n "$absent" ]; then
    echo "these functions: $absent"
    return
  fi
  health=$(curl --silent --show-error --max-time 10 --output /dev/null --write-out '%{http_code}' \
    "$FUNCTION_APP_URL/api/health" 2>&1) || true
  if [ "$health" != 200 ]; then
    echo "an answer 200 of $FUNCTION_APP_URL/api/health, which gave: $health"
    return
  fi
  # The subscription carries this key, which the host makes once it has indexed the blob trigger.
  key=$(az functionapp keys list --resource-group "$AZURE_RESOURCE_GROUP_NAME" \
    --name "$FUNCTION_APP_NAME" --query "systemKeys.blobs_extension && 'yes'" --output tsv 2>&1) || true
  [ "$(printf '%s' "$key" | tr -d '\r')" = yes ] || echo "the system key blobs_extension: $key"
}

# Three times in a row: the first answers after a deployment may still be the former app's.
deadline=$(($(date +%s) + 600))
ready=0
while
  lacking=$(missing)
  if [ -z "$lacking" ]; then ready=$((ready + 1)); else ready=0; fi
  [ "$ready" -lt 3 ]
do
  if [ "$(date +%s)" -ge "$deadline" ]; then
    cat >&2 <<TEXT
The deployment failed, whatever was reported before. After ten minutes $FUNCTION_APP_NAME lacks
  ${lacking:-three good answers in a row}
Look at, in this order:
  1. No functions, or too few: the app cannot be imported or indexed. Application Insights, Logs, says why:
       union traces, exceptions | where severityLevel >= 3 | order by timestamp desc
     A package must be for the app's Python: 'az functionapp show' has it under functionAppConfig.runtime.
  2. Health gives 503: a setting is missing or malformed. GET /api/runs, with a function key, names each.
  3. No answers at all: roles may not have reached the app's storage yet. Run 'azd deploy' again.
Then run 'azd hooks run postdeploy'. Until it succeeds, uploads may start no runs.
TEXT
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

cat <<TEXT
All functions run. Uploads to https://$DATA_STORAGE_NAME.blob.core.windows.net/uploads now start runs.

  Page: $FUNCTION_APP_URL/
  For bin/finetune, curl and OpenAI's clients (docs/deploy.md goes on to the first chat):
    export FINETUNE_URL=$FUNCTION_APP_URL FINETUNE_STORAGE=https://$DATA_STORAGE_NAME.blob.core.windows.net
    export FINETUNE_KEY="\$(az functionapp keys list -g $AZURE_RESOURCE_GROUP_NAME -n $FUNCTION_APP_NAME --query functionKeys.default -o tsv)"
    export FINETUNE_API_KEY="\$(az keyvault secret show --vault-name $API_KEY_VAULT_NAME --name $API_KEY_SECRET_NAME --query value -o tsv)"
TEXT
