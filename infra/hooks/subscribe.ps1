# See that the app runs, then make uploads, and jobs where asked for, call it. azd runs this after each deployment; running
# it again changes nothing. Azure can report that a deployment succeeded while the app has no functions at all
# (github.com/Azure/azure-functions-host/issues/11915): this fails then, and says what to look at.
$ErrorActionPreference = 'Stop'
# Exit codes of az are looked at here; the app may not be there yet.
$PSNativeCommandUseErrorActionPreference = $false

if (-not $env:AZURE_RESOURCE_GROUP_NAME) { throw 'Run this through azd, which sets AZURE_RESOURCE_GROUP_NAME.' }

# What the app still lacks; nothing if it is ready.
function Get-Missing {
    $listed = az functionapp function list --resource-group $env:AZURE_RESOURCE_GROUP_NAME `
        --name $env:FUNCTION_APP_NAME --query "[].name" --output tsv 2>$null
    if ($LASTEXITCODE -ne 0) { return 'a list of its functions' }
    $absent = @(Get-Content infra/hooks/functions.txt | Where-Object { "$($env:FUNCTION_APP_NAME)/$_" -notin $listed })
    if ($absent) { return "these functions: $($absent -join ' ')" }
    try {
        $health = [string](Invoke-WebRequest -Uri "$($env:FUNCTION_APP_URL)/api/health" -TimeoutSec 10 `
                -SkipHttpErrorCheck).StatusCode
    }
    catch { $health = $_.Exception.Message }
    if ($health -ne '200') {
        return "an answer 200 of $($env:FUNCTION_APP_URL)/api/health, which gave: $health"
    }
    # The subscription carries this key, which the host makes once it has indexed the blob trigger.
    $key = az functionapp keys list --resource-group $env:AZURE_RESOURCE_GROUP_NAME `
        --name $env:FUNCTION_APP_NAME --query "systemKeys.blobs_extension && 'yes'" --output tsv 2>$null
    if ($key -ne 'yes') { return 'the system key blobs_extension' }
}

# Three times in a row: the first answers after a deployment may still be the former app's.
$deadline = (Get-Date).AddSeconds(600)
$ready = 0
while ($true) {
    $lacking = Get-Missing
    if ($lacking) { $ready = 0 } else { $ready += 1 }
    if ($ready -ge 3) { break }
    if ((Get-Date) -ge $deadline) {
        if (-not $lacking) { $lacking = 'three good answers in a row' }
        throw @"
The deployment failed, whatever was reported before. After ten minutes $($env:FUNCTION_APP_NAME) lacks
  $lacking
Look at, in this order:
  1. No functions, or too few: the app cannot be imported or indexed. Application Insights, Logs, says why:
       union traces, exceptions | where severityLevel >= 3 | order by timestamp desc
     A package must be for the app's Python: 'az functionapp show' has it under functionAppConfig.runtime.
  2. Health gives 503: a setting is missing or malformed. GET /api/runs, with a function key, names each.
  3. No answers at all: roles may not have reached the app's storage yet. Run 'azd deploy' again.
Then run 'azd hooks run postdeploy'. Until it succeeds, uploads may start no runs.
"@
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

$storage = "https://$($env:DATA_STORAGE_NAME).blob.core.windows.net"
Write-Output @"
All functions run. Uploads to $storage/uploads now start runs.

  Page: $($env:FUNCTION_APP_URL)/
  For finetune, curl and OpenAI's clients (docs/deploy.md goes on to the first chat):
    `$env:FINETUNE_URL = '$($env:FUNCTION_APP_URL)'; `$env:FINETUNE_STORAGE = '$storage'
    `$env:FINETUNE_KEY = az functionapp keys list -g $($env:AZURE_RESOURCE_GROUP_NAME) -n $($env:FUNCTION_APP_NAME) --query functionKeys.default -o tsv
    `$env:FINETUNE_API_KEY = az keyvault secret show --vault-name $($env:API_KEY_VAULT_NAME) --name $($env:API_KEY_SECRET_NAME) --query value -o tsv
"@
