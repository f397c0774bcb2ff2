# Make uploads, and jobs where asked for, call the app. azd runs this after each deployment; running it again changes nothing.
$ErrorActionPreference = 'Stop'

if (-not $env:AZURE_RESOURCE_GROUP_NAME) { throw 'Run this through azd, which sets AZURE_RESOURCE_GROUP_NAME.' }

# The key that the subscription carries appears once the host has indexed the functions.
$tries = 30
while ($true) {
    $present = az functionapp keys list --resource-group $env:AZURE_RESOURCE_GROUP_NAME `
        --name $env:FUNCTION_APP_NAME --query "systemKeys.blobs_extension && 'yes'" --output tsv 2>$null
    if ($present) { break }
    $tries -= 1
    if ($tries -eq 0) {
        throw "The app did not start within five minutes: look at its log stream, then run 'azd hooks run postdeploy'."
    }
    Start-Sleep -Seconds 10
}

az deployment group create `
    --resource-group $env:AZURE_RESOURCE_GROUP_NAME `
    --name upload-subscription `
    --template-file infra/upload-subscription.bicep `
    --parameters `
    functionAppName=$env:FUNCTION_APP_NAME `
    systemTopicName=$env:SYSTEM_TOPIC_NAME `
    dataStorageName=$env:DATA_STORAGE_NAME `
    deadLetterContainerName=$env:DEAD_LETTER_CONTAINER_NAME `
    --output none
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

if ($env:SUBSCRIBE_TO_JOBS -eq 'true') {
    az deployment group create `
        --resource-group $env:AZUREML_WORKSPACE_GROUP `
        --name job-subscription `
        --template-file infra/job-subscription.bicep `
        --parameters `
        workspaceName=$env:AZUREML_WORKSPACE_NAME `
        functionAppName=$env:FUNCTION_APP_NAME `
        functionAppResourceGroup=$env:AZURE_RESOURCE_GROUP_NAME `
        systemTopicName=$env:JOB_TOPIC_NAME `
        --output none
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

Write-Output "Uploads to https://$($env:DATA_STORAGE_NAME).blob.core.windows.net/uploads now start runs."
