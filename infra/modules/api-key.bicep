// A key for the OpenAI-compatible API, made here and kept in a vault that holds nothing else.

@description('Name of the key vault.')
param keyVaultName string

@description('Whether to make a key; an earlier one is replaced by it.')
param createApiKey bool

@description('The key, if one is made.')
@secure()
param apiKey string

@description('Object id of the app identity, which reads the key.')
param appPrincipalId string

@description('Object ids of users or groups that may read the key.')
param readerPrincipalIds array

@description('Whether the vault takes requests from private endpoints only.')
param privateNetwork bool

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

var roles = loadJsonContent('../roles.json')
var roleType = 'Microsoft.Authorization/roleDefinitions'
var secretName = 'api-key'

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

// Without this condition each deployment would change the key, and every client would have to be told.
resource secret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (createApiKey) {
  parent: keyVault
  name: secretName
  properties: {
    value: apiKey
    contentType: 'text/plain'
  }
}

resource appReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(keyVault.id, appPrincipalId, roles['Key Vault Secrets User'])
  scope: keyVault
  properties: {
    roleDefinitionId: subscriptionResourceId(roleType, roles['Key Vault Secrets User'])
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource readers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in readerPrincipalIds: {
    name: guid(keyVault.id, principalId, roles['Key Vault Secrets User'])
    scope: keyVault
    properties: {
      roleDefinitionId: subscriptionResourceId(roleType, roles['Key Vault Secrets User'])
      principalId: principalId
    }
  }
]

output setting string = '@Microsoft.KeyVault(VaultName=${keyVault.name};SecretName=${secretName})'
output keyVaultName string = keyVault.name
output secretName string = secretName
