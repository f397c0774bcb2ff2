// The app on Flex Consumption: it costs nothing while nothing happens.

@description('Name of the function app, and the first part of its address.')
param functionAppName string

@description('Name of its plan; Flex Consumption takes one app a plan.')
param planName string

@description('Resource id of the app identity.')
param identityId string

@description('Client id of the app identity.')
param identityClientId string

@description('Name of the host account.')
param hostStorageName string

@description('Name of the data account.')
param dataStorageName string

@description('Container of the host account that holds the package.')
param deploymentContainerName string

@description('Name of the Application Insights resource.')
param insightsName string

@description('Settings of the app itself.')
@secure()
param settings object

@description('Python version.')
param pythonVersion string

@description('Most instances.')
param maximumInstanceCount int

@description('Resource id of the subnet for outgoing calls; empty for none.')
param subnetId string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

resource hostStorage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: hostStorageName
}

resource dataStorage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: dataStorageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

var platformSettings = {
  AzureWebJobsStorage__blobServiceUri: hostStorage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: hostStorage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: hostStorage.properties.primaryEndpoints.table
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  TrainingStorage__blobServiceUri: dataStorage.properties.primaryEndpoints.blob
  TrainingStorage__queueServiceUri: dataStorage.properties.primaryEndpoints.queue
  TrainingStorage__credential: 'managedidentity'
  TrainingStorage__clientId: identityClientId
  AZURE_CLIENT_ID: identityClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // With telemetryMode in host.json: the worker configures OpenTelemetry itself.
  PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
  // Every span of a run. The exporter's own default keeps five traces a second, and parts of a trace at that.
  OTEL_TRACES_SAMPLER: 'always_on'
  // One span for each HTTP request: that of `requests`, which every SDK of the app sends with. azure-core
  // would add three of its own to each.
  AZURE_TRACING_ENABLED: 'false'
  OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,django,fastapi,flask,httpx,httpx2,psycopg2,urllib,urllib3'
  // Statistics about the exporter: to Microsoft, to Microsoft's remote settings, to this resource, and one
  // metric with each batch of spans.
  APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL: 'true'
  APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED: 'true'
  APPLICATIONINSIGHTS_SDKSTATS_DISABLED: 'true'
  APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED: 'true'
  // Events take at most 29 threads at once (host.json), each of which mostly waits for Azure; 32 is the most allowed. HTTP has threads
  // of its own, and so have webhooks, which may take ten seconds each.
  PYTHON_THREADPOOL_THREAD_COUNT: '32'
  // Replies stream from the worker's own HTTP server, which it starts before 3.13 only if it indexes at its
  // start.
  PYTHON_ENABLE_INIT_INDEXING: '1'
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: functionAppName
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostStorage.properties.primaryEndpoints.blob}${deploymentContainerName}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        // One core: enough for two files at once, each streamed in 4 MiB pieces (host.json: blobs).
        instanceMemoryMB: 2048
        maximumInstanceCount: maximumInstanceCount
        triggers: {
          // Scoring requests wait for GPUs; one instance holds many of them.
          http: { perInstanceConcurrency: 64 }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: union(platformSettings, settings)
  }
}

resource noFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noBasicScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

output functionAppName string = app.name
output url string = 'https://${app.properties.defaultHostName}'
