// One storage account: identities only, no keys, no anonymous access, deleted blobs kept for a while.

@description('Name of the account.')
param name string

@description('Containers to make.')
param containers array = []

@description('Queues to make.')
param queues array = []

@description('Lifecycle rules, as the management policy takes them.')
param lifecycleRules array = []

@description('Copies: in three zones of the region, or in one place where a region has no zones.')
@allowed(['Standard_ZRS', 'Standard_LRS'])
param redundancy string

@description('Days that deleted and overwritten blobs can be brought back.')
@minValue(1)
@maxValue(365)
param softDeleteDays int = 7

@description('Whether only private endpoints and trusted Azure services get in.')
param privateNetwork bool

@description('Region.')
param location string

@description('Tags of the account.')
param tags object

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: redundancy }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      // Event Grid writes dead letters as a trusted service, which needs the exception.
      bypass: 'AzureServices'
      defaultAction: privateNetwork ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource made 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [
  for container in containers: {
    parent: blobs
    name: container
    properties: { publicAccess: 'None' }
  }
]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource madeQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = [
  for queue in queues: {
    parent: queueService
    name: queue
  }
]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = if (!empty(lifecycleRules)) {
  parent: account
  name: 'default'
  properties: {
    policy: { rules: lifecycleRules }
  }
}

output name string = account.name
