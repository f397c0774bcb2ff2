// What training needs inside the workspace: the datastore over `datasets`, and a cluster that scales to zero.

@description('Name of the workspace, in this resource group.')
param workspaceName string

@description('Name of the data account.')
param dataStorageName string

@description('Name of the datastore over its `datasets` container.')
param datastoreName string

@description('Whether to make the cluster.')
param makeCluster bool

@description('Name of the cluster.')
param clusterName string

@description('VM size of the cluster.')
param clusterSize string

@description('Most nodes of the cluster.')
param clusterMaxNodes int

@description('Whether nodes are in the network that Azure ML manages, and so have no public address.')
param clusterInPrivateNetwork bool

@description('Resource id of the identity that jobs run under.')
param trainingIdentityId string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource datastore 'Microsoft.MachineLearningServices/workspaces/datastores@2025-06-01' = {
  parent: workspace
  name: datastoreName
  properties: {
    datastoreType: 'AzureBlob'
    description: 'Checked and split datasets of finetune-on-upload'
    accountName: dataStorageName
    containerName: 'datasets'
    endpoint: environment().suffixes.storage
    protocol: 'https'
    credentials: { credentialsType: 'None' }
  }
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2025-06-01' = if (makeCluster) {
  parent: workspace
  name: clusterName
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${trainingIdentityId}': {}
    }
  }
  properties: {
    computeType: 'AmlCompute'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      vmSize: clusterSize
      vmPriority: 'Dedicated'
      scaleSettings: {
        minNodeCount: 0
        maxNodeCount: clusterMaxNodes
        nodeIdleTimeBeforeScaleDown: 'PT2M'
      }
      remoteLoginPortPublicAccess: 'Disabled'
      enableNodePublicIp: !clusterInPrivateNetwork
    }
  }
}
