// Who may do what with stored data. docs/security.md explains each line.

@description('Name of the host account.')
param hostStorageName string

@description('Name of the data account.')
param dataStorageName string

@description('Object id of the app identity.')
param appPrincipalId string

@description('Object ids of the identities that training jobs run under.')
param trainingPrincipalIds array

@description('Object ids of users or groups that may upload.')
param uploaderPrincipalIds array

var roles = loadJsonContent('../roles.json')
var roleType = 'Microsoft.Authorization/roleDefinitions'

// The host keeps locks, keys, its package, trigger receipts and diagnostic events in its own account.
var hostRoles = ['Storage Blob Data Owner', 'Storage Queue Data Contributor', 'Storage Table Data Contributor']

// The blob trigger asks for Owner on what it watches; everything else needs no more than Contributor
// (source: "Azure Blob storage trigger for Azure Functions", section on identities).
var containerRoles = [
  { container: 'uploads', role: 'Storage Blob Data Owner' }
  { container: 'datasets', role: 'Storage Blob Data Contributor' }
  { container: 'runs', role: 'Storage Blob Data Contributor' }
  { container: 'reports', role: 'Storage Blob Data Contributor' }
  { container: 'coordination', role: 'Storage Blob Data Contributor' }
]

resource hostStorage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: hostStorageName
}

resource dataStorage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: dataStorageName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = {
  parent: dataStorage
  name: 'default'
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = [
  for item in containerRoles: {
    parent: blobs
    name: item.container
  }
]

resource uploads 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  parent: blobs
  name: 'uploads'
}

resource datasets 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  parent: blobs
  name: 'datasets'
}

resource reports 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  parent: blobs
  name: 'reports'
}

resource appOnHost 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in hostRoles: {
    name: guid(hostStorage.id, appPrincipalId, roles[role])
    scope: hostStorage
    properties: {
      roleDefinitionId: subscriptionResourceId(roleType, roles[role])
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource appOnContainers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (item, index) in containerRoles: {
    name: guid(dataStorage.id, item.container, appPrincipalId, roles[item.role])
    scope: containers[index]
    properties: {
      roleDefinitionId: subscriptionResourceId(roleType, roles[item.role])
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
    }
  }
]

resource appOnQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(dataStorage.id, appPrincipalId, roles['Storage Queue Data Contributor'])
  scope: dataStorage
  properties: {
    roleDefinitionId: subscriptionResourceId(roleType, roles['Storage Queue Data Contributor'])
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource trainingOnDatasets 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principal in trainingPrincipalIds: {
    name: guid(datasets.id, principal, roles['Storage Blob Data Reader'])
    scope: datasets
    properties: {
      roleDefinitionId: subscriptionResourceId(roleType, roles['Storage Blob Data Reader'])
      principalId: principal
      principalType: 'ServicePrincipal'
    }
  }
]

resource uploadersOnUploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principal in uploaderPrincipalIds: {
    name: guid(uploads.id, principal, roles['Storage Blob Data Contributor'])
    scope: uploads
    properties: {
      roleDefinitionId: subscriptionResourceId(roleType, roles['Storage Blob Data Contributor'])
      principalId: principal
    }
  }
]

resource uploadersOnReports 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principal in uploaderPrincipalIds: {
    name: guid(reports.id, principal, roles['Storage Blob Data Reader'])
    scope: reports
    properties: {
      roleDefinitionId: subscriptionResourceId(roleType, roles['Storage Blob Data Reader'])
      principalId: principal
    }
  }
]
