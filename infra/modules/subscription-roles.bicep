// The two things that Azure ML answers only at the subscription: VM sizes of a region, which preflight
// checks, and the status of long-running operations, which says why a deployment failed.
targetScope = 'subscription'

@description('Object id of the app identity.')
param appPrincipalId string

resource regionReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'azure ml region reader')
  properties: {
    // Names of custom roles must be unique in a tenant.
    roleName: 'Azure ML region reader (${uniqueString(subscription().id)})'
    description: 'May read what Azure ML publishes about a region (VM sizes, quota, status of operations), and nothing else.'
    type: 'CustomRole'
    permissions: [
      {
        // As in the built-in role Azure AI Developer, narrowed to this one line.
        actions: ['Microsoft.MachineLearningServices/locations/*/read']
        notActions: []
      }
    ]
    assignableScopes: [subscription().id]
  }
}

resource appReadsRegions 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, appPrincipalId, 'azure ml region reader')
  properties: {
    roleDefinitionId: regionReader.id
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}
