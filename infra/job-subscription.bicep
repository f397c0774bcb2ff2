// Optional: Azure ML tells of its jobs, so that runs move on at once instead of at the timer's next minute.
// Deployed to the workspace's resource group, after the code, by hooks/subscribe.*.

@description('Name of the workspace, in this resource group.')
param workspaceName string

@description('Name of the function app.')
param functionAppName string

@description('Resource group of the function app.')
param functionAppResourceGroup string

@description('Name of the system topic to make; a workspace has one at most.')
param systemTopicName string

@description('Function that takes job events, as function_app.py names it.')
param functionName string = 'job_status_changed'

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource app 'Microsoft.Web/sites@2024-04-01' existing = {
  scope: resourceGroup(functionAppResourceGroup)
  name: functionAppName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: systemTopicName
  location: workspace.location
  properties: {
    source: workspace.id
    topicType: 'Microsoft.MachineLearningServices.Workspaces'
  }
}

resource jobs 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'jobs'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${app.id}/functions/${functionName}'
        maxEventsPerBatch: 1
      }
    }
    filter: {
      includedEventTypes: ['Microsoft.MachineLearningServices.RunStatusChanged']
    }
    retryPolicy: {
      // No dead letters and few tries: the timer finds out anyway.
      maxDeliveryAttempts: 5
      eventTimeToLiveInMinutes: 10
    }
  }
}
