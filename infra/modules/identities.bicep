// Two identities: the app's, and the one that training jobs run under. Neither has a secret.

@description('Name of the app identity.')
param appIdentityName string

@description('Name of the training identity.')
param trainingIdentityName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

resource appIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: appIdentityName
  location: location
  tags: tags
}

resource trainingIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: trainingIdentityName
  location: location
  tags: tags
}

output appIdentityId string = appIdentity.id
output appPrincipalId string = appIdentity.properties.principalId
output appClientId string = appIdentity.properties.clientId
output trainingIdentityId string = trainingIdentity.id
output trainingPrincipalId string = trainingIdentity.properties.principalId
