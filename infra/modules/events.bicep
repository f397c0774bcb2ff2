// The topic that carries the data account's events. Its subscription needs running code to answer the
// handshake, so that the post-deploy hook makes it: see upload-subscription.bicep.

@description('Name of the system topic.')
param systemTopicName string

@description('Name of the data account.')
param dataStorageName string

@description('Container for events that could not be delivered.')
param deadLetterContainerName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

var roles = loadJsonContent('../roles.json')
var roleType = 'Microsoft.Authorization/roleDefinitions'

resource dataStorage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: dataStorageName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = {
  parent: dataStorage
  name: 'default'
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  parent: blobs
  name: deadLetterContainerName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: systemTopicName
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: dataStorage.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

resource topicWritesDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deadLetters.id, systemTopicName, roles['Storage Blob Data Contributor'])
  scope: deadLetters
  properties: {
    roleDefinitionId: subscriptionResourceId(roleType, roles['Storage Blob Data Contributor'])
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

output systemTopicName string = topic.name
