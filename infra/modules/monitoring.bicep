// Logs and traces. Local authentication is off: only the app's identity can write.

@description('Name of the Log Analytics workspace.')
param logsName string

@description('Name of the Application Insights resource.')
param insightsName string

@description('Object id of the app identity, which publishes telemetry.')
param appPrincipalId string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

var roles = loadJsonContent('../roles.json')
var roleType = 'Microsoft.Authorization/roleDefinitions'

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: logsName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: insightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    DisableLocalAuth: true
  }
}

resource appPublishes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, appPrincipalId, roles['Monitoring Metrics Publisher'])
  scope: insights
  properties: {
    roleDefinitionId: subscriptionResourceId(roleType, roles['Monitoring Metrics Publisher'])
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
  }
}

output logsName string = logs.name
output insightsName string = insights.name
