// Optional: a network for the app's outgoing calls, and private endpoints for both storage accounts and the key
// vault of the API key.

@description('Name of the virtual network.')
param networkName string

@description('Address space.')
param addressPrefix string

@description('Part of it for outgoing calls of the app; at least a /27.')
param appSubnetPrefix string

@description('Part of it for private endpoints.')
param endpointSubnetPrefix string

@description('Name of the host account.')
param hostStorageName string

@description('Name of the data account.')
param dataStorageName string

@description('Name of the key vault that holds the API key.')
param keyVaultName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

var storageType = 'Microsoft.Storage/storageAccounts'

// The host needs tables for its diagnostic events; the data account has none.
var endpoints = [
  { type: storageType, name: hostStorageName, service: 'blob', zone: 0 }
  { type: storageType, name: hostStorageName, service: 'queue', zone: 1 }
  { type: storageType, name: hostStorageName, service: 'table', zone: 2 }
  { type: storageType, name: dataStorageName, service: 'blob', zone: 0 }
  { type: storageType, name: dataStorageName, service: 'queue', zone: 1 }
  { type: 'Microsoft.KeyVault/vaults', name: keyVaultName, service: 'vault', zone: 3 }
]
var storageSuffix = environment().suffixes.storage
var zoneNames = [
  'privatelink.blob.${storageSuffix}'
  'privatelink.queue.${storageSuffix}'
  'privatelink.table.${storageSuffix}'
  // The one of Azure's public cloud: environment() knows only the suffix without "privatelink".
  'privatelink.vaultcore.azure.net'
]

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: networkName
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: appSubnetPrefix
          // Flex Consumption runs on the platform of Container Apps.
          delegations: [
            {
              name: 'flex'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointSubnetPrefix
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }

  resource appSubnet 'subnets' existing = {
    name: 'app'
  }

  resource endpointSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for zoneName in zoneNames: {
    name: zoneName
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for (zoneName, index) in zoneNames: {
    parent: zones[index]
    name: networkName
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for item in endpoints: {
    name: 'pe-${item.name}-${item.service}'
    location: location
    tags: tags
    properties: {
      subnet: { id: network::endpointSubnet.id }
      privateLinkServiceConnections: [
        {
          name: item.service
          properties: {
            privateLinkServiceId: resourceId(item.type, item.name)
            groupIds: [item.service]
          }
        }
      ]
    }
  }
]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (item, index) in endpoints: {
    parent: privateEndpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: item.service
          properties: { privateDnsZoneId: zones[item.zone].id }
        }
      ]
    }
  }
]

output appSubnetId string = network::appSubnet.id
