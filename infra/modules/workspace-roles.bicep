// Who may do what in the workspace. docs/security.md explains each line.

@description('Name of the workspace, in this resource group.')
param workspaceName string

@description('Object id of the app identity.')
param appPrincipalId string

@description('Whether the app may create and delete clusters.')
param allowComputeCreation bool

@description('Object ids of those who may call endpoints, and nothing else.')
param scorerPrincipalIds array

var roles = loadJsonContent('../roles.json')
var roleType = 'Microsoft.Authorization/roleDefinitions'

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

// Jobs, models, endpoints and scoring; neither clusters nor the workspace itself.
resource appInWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(workspace.id, appPrincipalId, roles['AzureML Data Scientist'])
  scope: workspace
  properties: {
    roleDefinitionId: subscriptionResourceId(roleType, roles['AzureML Data Scientist'])
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource appOnCompute 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (allowComputeCreation) {
  name: guid(workspace.id, appPrincipalId, roles['AzureML Compute Operator'])
  scope: workspace
  properties: {
    roleDefinitionId: subscriptionResourceId(roleType, roles['AzureML Compute Operator'])
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource scorer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(workspace.id, 'endpoint scorer')
  properties: {
    // Names of custom roles must be unique in a tenant.
    roleName: 'Endpoint scorer of ${workspaceName} (${uniqueString(workspace.id)})'
    description: 'May call online endpoints of one workspace with a Microsoft Entra token, and nothing else.'
    type: 'CustomRole'
    permissions: [
      {
        actions: ['Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action']
        notActions: []
      }
    ]
    assignableScopes: [resourceGroup().id]
  }
}

resource scorersInWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principal in scorerPrincipalIds: {
    name: guid(workspace.id, principal, 'endpoint scorer')
    scope: workspace
    properties: {
      roleDefinitionId: scorer.id
      principalId: principal
    }
  }
]
