// Everything that finetune-on-upload needs in Azure. `azd up` deploys it; docs/deploy.md explains it.
// Native resources only and plain syntax, so that the checks of tests/infra can read every line.
targetScope = 'subscription'

@description('Name of the azd environment. It names the resource group; all other names come from a hash.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of every resource. Flex Consumption, Azure ML and the GPU sizes must be offered there.')
param location string

@description('Object ids of users or groups that may upload datasets and read reports.')
param uploaderPrincipalIds array = []

@description('Object ids of users, groups or apps that may call endpoints directly, past this app, and nothing else.')
param scorerPrincipalIds array = []

@description('Name of an Azure ML workspace of this subscription to use; empty makes a new one.')
param existingWorkspaceName string = ''

@description('Resource group of that workspace.')
param existingWorkspaceResourceGroup string = ''

@description('Object id of the identity under which jobs run on a cluster that exists already; empty if none.')
param existingTrainingPrincipalId string = ''

@description('Base model: a name for its newest version, or `name:version`. Phi-4 still fine-tunes as of July 2026.')
param baseModel string = 'Phi-4'

@description('Name of the GPU cluster for training, or `serverless`.')
@minLength(3)
@maxLength(24)
param computeCluster string = 'gpu-cluster'

@description('Whether this deployment makes that cluster. False for one that exists.')
param createCluster bool = true

@description('VM size of the cluster, or of serverless compute.')
param computeSize string = 'Standard_NC24ads_A100_v4'

@description('Most nodes of the cluster; it scales to zero after two idle minutes.')
@minValue(1)
@maxValue(100)
param computeMaxNodes int = 1

@description('Whether the app may create a cluster that is missing, as a run.json can name one.')
param allowComputeCreation bool = false

@description('VM size of deployments.')
param deploymentInstanceType string = 'Standard_NC24ads_A100_v4'

@description('App settings to set otherwise than below, by their names in the README. Some are secrets.')
@secure()
param settingOverrides object = {}

@description('Whether to make a key for the OpenAI-compatible API; azd sets it to false once there is one.')
param createApiKey bool = true

@description('The key that is made: random unless given.')
@secure()
param apiKey string = newGuid()

@description('Python of the function app, a version that Flex Consumption offers.')
@allowed(['3.11', '3.12', '3.13', '3.14'])
param pythonVersion string = '3.13'

@description('Most instances that the app scales out to.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Days after which a snapshot of a dataset is deleted. Longer than any run waits and trains.')
@minValue(7)
param datasetRetentionDays int = 30

@description('Days after their last change that run records and reports are deleted.')
@minValue(30)
param recordRetentionDays int = 365

@description('Copies of stored data: in three zones, or in one place where the region has no zones.')
@allowed(['Standard_ZRS', 'Standard_LRS'])
param storageRedundancy string = 'Standard_ZRS'

@description('Mail address that alerts go to; empty shows them in the portal only.')
param alertEmail string = ''

@description('Whether Azure ML tells of its jobs, on top of the timer. It makes the one system topic of the workspace.')
param subscribeToJobs bool = false

@description('Whether storage is reached through private endpoints only. See docs/deploy.md before turning it on.')
param privateNetwork bool = false

@description('Address space of the network that privateNetwork makes.')
param networkAddressPrefix string = '10.60.0.0/24'

@description('Its part for outgoing calls of the app; at least a /27.')
param appSubnetPrefix string = '10.60.0.0/27'

@description('Its part for private endpoints.')
param endpointSubnetPrefix string = '10.60.0.32/27'

var token = toLower(uniqueString(subscription().id, environmentName, location))
var names = {
  // The suffix keeps an environment name that ends in a period from making an invalid group name.
  resourceGroup: 'rg-${environmentName}-finetune'
  appIdentity: 'id-app-${token}'
  trainingIdentity: 'id-training-${token}'
  hostStorage: 'sthost${token}'
  dataStorage: 'stdata${token}'
  workspaceStorage: 'stml${token}'
  keyVault: 'kv-${token}'
  apiKeyVault: 'kv-app-${token}'
  workspace: 'mlw-${token}'
  logs: 'log-${token}'
  insights: 'appi-${token}'
  plan: 'plan-${token}'
  functionApp: 'func-${token}'
  systemTopic: 'evgt-${token}'
  actionGroup: 'ag-${token}'
  network: 'vnet-${token}'
  jobTopic: 'evgt-jobs-${token}'
}
var tags = { 'azd-env-name': environmentName }
var createWorkspace = empty(existingWorkspaceName)
var workspaceName = createWorkspace ? names.workspace : existingWorkspaceName
var workspaceGroup = createWorkspace ? names.resourceGroup : existingWorkspaceResourceGroup
var otherTrainingPrincipalIds = empty(existingTrainingPrincipalId) ? [] : [existingTrainingPrincipalId]
var makeCluster = createCluster && computeCluster != 'serverless'

// Every setting that the app reads; tests/infra holds this list equal to the app's.
var defaultSettings = {
  AZURE_SUBSCRIPTION_ID: subscription().subscriptionId
  AZURE_RESOURCE_GROUP: workspaceGroup
  AZUREML_WORKSPACE: workspaceName
  AZUREML_REGISTRY: 'azureml'
  COMPONENT_REGISTRY: 'azureml'
  EXPERIMENT_NAME: 'finetune-on-upload'
  DATASTORE_NAME: 'finetune_datasets'
  ENDPOINT_AUTH_MODE: 'aad_token'
  SCORING_DOMAIN: 'inference.ml.azure.com'
  SCORING_QUEUE_SECONDS: '2'
  SPLIT_PERCENTAGES: '80,10,10'
  ROW_POLICY: 'strict'
  MAX_DROPPED_PERCENT: '5'
  CONTEXT_WINDOW: ''
  IGNORE_KEYS: ''
  SENSITIVE_DATA: 'warn'
  CONTACT_DATA: 'off'
  MAX_DATASET_GIBIBYTES: '64'
  BASE_MODEL: baseModel
  ALLOW_RETIRED_MODEL: 'false'
  COMPUTE_CLUSTER: computeCluster
  COMPUTE_SIZE: computeSize
  COMPUTE_MAX_NODES: string(computeMaxNodes)
  COMPUTE_IDENTITY_ID: identities.outputs.trainingIdentityId
  FINETUNE_PARAMETERS: '{}'
  MAX_EVAL_LOSS: ''
  STOP_WHEN_DIVERGED: 'false'
  DEPLOYMENT_INSTANCE_TYPE: deploymentInstanceType
  DEPLOYMENT_INSTANCE_COUNT: '1'
  ENDPOINT_LIFETIME_HOURS: '24'
  ENDPOINT_IDLE_MINUTES: '60'
  AVAILABLE: ''
  START_ON_REQUEST: 'false'
  SMOKE_TEST_ROWS: '3'
  EVALUATION_ROWS: '50'
  PROMOTION_TRAFFIC: '100'
  PROMOTION_STEP_MINUTES: '30'
  EVALUATE_BASE: 'false'
  PROMOTION: 'if_not_worse'
  SERVING: 'vllm-environment,vllm-model-image,mlflow'
  SERVING_CONCURRENCY: '8'
  VLLM_IMAGE: 'mcr.microsoft.com/azureml/curated/foundation-model-inference:94'
  MLFLOW_IMAGE: 'mcr.microsoft.com/azureml/curated/mlflow-model-inference:21'
  MAX_MODEL_LEN: ''
  TENSOR_PARALLEL: ''
  SERVING_VARIABLES: '{}'
  MAX_TRAINING_RUNS: '4'
  MAX_LIVE_ENDPOINTS: '4'
  ENDPOINT_MAX_LIFETIME_HOURS: '168'
  MAX_INSTANCE_COUNT: '2'
  MAX_EPOCHS: '10'
  MAX_STEPS: '100000'
  MAX_BATCH_SIZE: '64'
  MAX_RUN_COST: ''
  MAX_MONTHLY_COST: ''
  ALLOWED_COMPUTES: ''
  ALLOWED_COMPUTE_SIZES: ''
  ALLOWED_INSTANCE_TYPES: ''
  ALLOWED_PARAMETERS: ''
  TRAINING_DEADLINE_HOURS: '72'
  JOB_RESUBMISSIONS: '2'
  COMPUTE_DEADLINE_MINUTES: '60'
  DEPLOYMENT_DEADLINE_MINUTES: '240'
  FAULT_DEADLINE_HOURS: '12'
  REFUSAL_DEADLINE_MINUTES: '5'
  SETTLE_SECONDS: '10'
  JOB_POLL_SECONDS: '60'
  OPERATION_POLL_SECONDS: '5'
  ADVANCE_SCHEDULE: '0 * * * * *'
  RECONCILE_SCHEDULE: '0 */15 * * * *'
  RECONCILE_DRY_RUN: 'false'
  API_KEYS: apiKeyVault.outputs.setting
  PRICES: 'settings'
  PRICES_PER_HOUR: '{}'
  PRICE_CURRENCY: ''
  DASHBOARD_URL: ''
  WEBHOOK_URL: ''
  WEBHOOK_SECRET: ''
  WEBHOOK_FORMAT: 'cloudevents'
}
var appSettings = union(defaultSettings, settingOverrides)

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: names.resourceGroup
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  scope: group
  name: 'identities'
  params: {
    appIdentityName: names.appIdentity
    trainingIdentityName: names.trainingIdentity
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  name: 'monitoring'
  params: {
    logsName: names.logs
    insightsName: names.insights
    appPrincipalId: identities.outputs.appPrincipalId
    location: location
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  name: 'storage'
  params: {
    hostStorageName: names.hostStorage
    dataStorageName: names.dataStorage
    datasetRetentionDays: datasetRetentionDays
    recordRetentionDays: recordRetentionDays
    redundancy: storageRedundancy
    privateNetwork: privateNetwork
    location: location
    tags: tags
  }
}

module storageRoles 'modules/storage-roles.bicep' = {
  scope: group
  name: 'storage-roles'
  params: {
    hostStorageName: storage.outputs.hostStorageName
    dataStorageName: storage.outputs.dataStorageName
    appPrincipalId: identities.outputs.appPrincipalId
    trainingPrincipalIds: union([identities.outputs.trainingPrincipalId], otherTrainingPrincipalIds)
    uploaderPrincipalIds: uploaderPrincipalIds
  }
}

module apiKeyVault 'modules/api-key.bicep' = {
  scope: group
  name: 'api-key'
  params: {
    keyVaultName: names.apiKeyVault
    createApiKey: createApiKey
    apiKey: apiKey
    appPrincipalId: identities.outputs.appPrincipalId
    readerPrincipalIds: uploaderPrincipalIds
    privateNetwork: privateNetwork
    location: location
    tags: tags
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  name: 'network'
  params: {
    networkName: names.network
    addressPrefix: networkAddressPrefix
    appSubnetPrefix: appSubnetPrefix
    endpointSubnetPrefix: endpointSubnetPrefix
    hostStorageName: storage.outputs.hostStorageName
    dataStorageName: storage.outputs.dataStorageName
    keyVaultName: apiKeyVault.outputs.keyVaultName
    location: location
    tags: tags
  }
}

module workspace 'modules/workspace.bicep' = if (createWorkspace) {
  scope: group
  name: 'workspace'
  params: {
    workspaceName: workspaceName
    storageName: names.workspaceStorage
    keyVaultName: names.keyVault
    insightsName: monitoring.outputs.insightsName
    trainingPrincipalId: identities.outputs.trainingPrincipalId
    dataStorageName: storage.outputs.dataStorageName
    redundancy: storageRedundancy
    privateNetwork: privateNetwork
    location: location
    tags: tags
  }
}

module training 'modules/training.bicep' = {
  scope: resourceGroup(workspaceGroup)
  name: 'training-${token}'
  params: {
    workspaceName: workspaceName
    dataStorageName: storage.outputs.dataStorageName
    datastoreName: appSettings.DATASTORE_NAME
    makeCluster: makeCluster
    clusterName: computeCluster
    clusterSize: computeSize
    clusterMaxNodes: computeMaxNodes
    clusterInPrivateNetwork: privateNetwork && createWorkspace
    trainingIdentityId: identities.outputs.trainingIdentityId
    location: location
    tags: tags
  }
  dependsOn: [workspace]
}

module workspaceRoles 'modules/workspace-roles.bicep' = {
  scope: resourceGroup(workspaceGroup)
  name: 'workspace-roles-${token}'
  params: {
    workspaceName: workspaceName
    appPrincipalId: identities.outputs.appPrincipalId
    allowComputeCreation: allowComputeCreation
    scorerPrincipalIds: scorerPrincipalIds
  }
  dependsOn: [workspace]
}

module subscriptionRoles 'modules/subscription-roles.bicep' = {
  name: 'subscription-roles-${token}'
  params: {
    appPrincipalId: identities.outputs.appPrincipalId
  }
}

module functionApp 'modules/function-app.bicep' = {
  scope: group
  name: 'function-app'
  params: {
    functionAppName: names.functionApp
    planName: names.plan
    identityId: identities.outputs.appIdentityId
    identityClientId: identities.outputs.appClientId
    hostStorageName: storage.outputs.hostStorageName
    dataStorageName: storage.outputs.dataStorageName
    deploymentContainerName: storage.outputs.deploymentContainerName
    insightsName: monitoring.outputs.insightsName
    settings: appSettings
    pythonVersion: pythonVersion
    maximumInstanceCount: maximumInstanceCount
    subnetId: privateNetwork ? network.outputs.appSubnetId : ''
    location: location
    tags: tags
  }
  // The app reads its package and its queues from the moment it starts.
  dependsOn: [storageRoles]
}

module events 'modules/events.bicep' = {
  scope: group
  name: 'events'
  params: {
    systemTopicName: names.systemTopic
    dataStorageName: storage.outputs.dataStorageName
    deadLetterContainerName: storage.outputs.deadLetterContainerName
    location: location
    tags: tags
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  name: 'alerts'
  params: {
    logsName: monitoring.outputs.logsName
    systemTopicName: events.outputs.systemTopicName
    actionGroupName: names.actionGroup
    alertEmail: alertEmail
    location: location
    tags: tags
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  name: 'workbook'
  params: {
    insightsName: monitoring.outputs.insightsName
    location: location
    tags: tags
  }
}

output AZURE_RESOURCE_GROUP_NAME string = names.resourceGroup
output FUNCTION_APP_NAME string = functionApp.outputs.functionAppName
output FUNCTION_APP_URL string = functionApp.outputs.url
output DATA_STORAGE_NAME string = storage.outputs.dataStorageName
output DEAD_LETTER_CONTAINER_NAME string = storage.outputs.deadLetterContainerName
output SYSTEM_TOPIC_NAME string = events.outputs.systemTopicName
output API_KEY_VAULT_NAME string = apiKeyVault.outputs.keyVaultName
output API_KEY_SECRET_NAME string = apiKeyVault.outputs.secretName
// azd keeps outputs in its environment: the next deployment finds that there is a key.
output CREATE_API_KEY string = 'false'
output AZUREML_WORKSPACE_NAME string = workspaceName
output AZUREML_WORKSPACE_GROUP string = workspaceGroup
output SUBSCRIBE_TO_JOBS string = subscribeToJobs ? 'true' : 'false'
output JOB_TOPIC_NAME string = names.jobTopic
