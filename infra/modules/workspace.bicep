// A new Azure ML workspace with a storage account and a key vault of its own.

@description('Name of the workspace.')
param workspaceName string

@description('Name of the account for job outputs, models and logs.')
param storageName string

@description('Name of the key vault, which Azure ML requires.')
param keyVaultName string

@description('Name of the Application Insights resource.')
param insightsName string

@description('Object id of the identity that training jobs run under.')
param trainingPrincipalId string

@description('Name of the data account, which jobs in a private network need a way to.')
param dataStorageName string

@description('Whether jobs run in a network that Azure ML manages, and storage is closed to all others.')
param privateNetwork bool

@description('Copies of stored data, as storage accounts name them.')
param redundancy string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

var roles = loadJsonContent('../roles.json')
var roleType = 'Microsoft.Authorization/roleDefinitions'

module account 'storage-account.bicep' = {
  name: 'storage-workspace'
  params: {
    name: storageName
    redundancy: redundancy
    privateNetwork: privateNetwork
    location: location
    tags: tags
  }
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageName
}

resource dataStorage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: dataStorageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource keyVault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: keyVaultName
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: privateNetwork ? 'Deny' : 'Allow'
    }
  }
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' = {
  name: workspaceName
  location: location
  tags: tags
  kind: 'Default'
  sku: {
    name: 'Basic'
    tier: 'Basic'
  }
  identity: { type: 'SystemAssigned' }
  properties: {
    friendlyName: workspaceName
    storageAccount: storage.id
    keyVault: keyVault.id
    applicationInsights: insights.id
    // Accounts have no keys here: datastores are read with the identity of whoever reads.
    systemDatastoresAuthMode: 'Identity'
    publicNetworkAccess: 'Enabled'
    v1LegacyMode: false
    managedNetwork: {
      isolationMode: privateNetwork ? 'AllowInternetOutbound' : 'Disabled'
    }
  }
  dependsOn: [account]
}

resource trainingOnStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, trainingPrincipalId, roles['Storage Blob Data Contributor'])
  scope: storage
  properties: {
    roleDefinitionId: subscriptionResourceId(roleType, roles['Storage Blob Data Contributor'])
    principalId: trainingPrincipalId
    principalType: 'ServicePrincipal'
  }
  dependsOn: [account]
}

resource workspaceConnects 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (privateNetwork) {
  name: guid(dataStorage.id, workspaceName, roles['Azure AI Enterprise Network Connection Approver'])
  scope: dataStorage
  properties: {
    roleDefinitionId: subscriptionResourceId(roleType, roles['Azure AI Enterprise Network Connection Approver'])
    principalId: workspace.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource wayToDatasets 'Microsoft.MachineLearningServices/workspaces/outboundRules@2025-06-01' = if (privateNetwork) {
  parent: workspace
  name: 'datasets'
  properties: {
    type: 'PrivateEndpoint'
    category: 'UserDefined'
    destination: {
      serviceResourceId: dataStorage.id
      subresourceTarget: 'blob'
      sparkEnabled: false
    }
  }
  dependsOn: [workspaceConnects]
}
