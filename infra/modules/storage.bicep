// The host's account (package, locks, trigger queues) and the data account (uploads, datasets, runs).

@description('Name of the account of the function host.')
param hostStorageName string

@description('Name of the account that holds all data of the app.')
param dataStorageName string

@description('Days after which a snapshot of a dataset is deleted.')
param datasetRetentionDays int

@description('Days after their last change that run records and reports are deleted.')
param recordRetentionDays int

@description('Whether only private endpoints and trusted Azure services get in.')
param privateNetwork bool

@description('Copies of stored data, as storage accounts name them.')
param redundancy string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

var deploymentContainer = 'app-package'
var deadLetterContainer = 'dead-letters'

module host 'storage-account.bicep' = {
  name: 'storage-host'
  params: {
    name: hostStorageName
    containers: [deploymentContainer]
    redundancy: redundancy
    privateNetwork: privateNetwork
    location: location
    tags: tags
  }
}

module data 'storage-account.bicep' = {
  name: 'storage-data'
  params: {
    name: dataStorageName
    containers: ['uploads', 'datasets', 'runs', 'reports', 'coordination', deadLetterContainer]
    queues: ['advance', 'advance-poison', 'requested', 'requested-poison', 'notifications', 'notifications-poison', 'uploads', 'uploads-poison', 'webjobs-blobtrigger-poison']
    lifecycleRules: [
      {
        name: 'delete-snapshots'
        type: 'Lifecycle'
        definition: {
          filters: {
            blobTypes: ['blockBlob']
            prefixMatch: ['datasets/']
          }
          actions: {
            baseBlob: {
              delete: { daysAfterModificationGreaterThan: datasetRetentionDays }
            }
          }
        }
      }
      {
        // A record is written whenever its run moves, so that a run in progress is never old.
        name: 'delete-old-records'
        type: 'Lifecycle'
        definition: {
          filters: {
            blobTypes: ['blockBlob']
            prefixMatch: ['runs/', 'reports/', 'coordination/run/', 'dead-letters/']
          }
          actions: {
            baseBlob: {
              delete: { daysAfterModificationGreaterThan: recordRetentionDays }
            }
          }
        }
      }
    ]
    redundancy: redundancy
    privateNetwork: privateNetwork
    location: location
    tags: tags
  }
}

output hostStorageName string = host.outputs.name
output dataStorageName string = data.outputs.name
output deploymentContainerName string = deploymentContainer
output deadLetterContainerName string = deadLetterContainer
