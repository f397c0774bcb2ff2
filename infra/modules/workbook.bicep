// A workbook over the app's metrics and traces; its queries are in infra/workbook.json.

@description('Name of the Application Insights resource that it reads.')
param insightsName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource workbook 'Microsoft.Insights/workbooks@2022-04-01' = {
  name: guid(insights.id, 'finetune-on-upload')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Fine-tuning runs'
    category: 'workbook'
    sourceId: insights.id
    serializedData: loadTextContent('../workbook.json')
  }
}
