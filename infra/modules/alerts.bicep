// Alerts for what needs a person; docs/operate.md says what to do about each. Queries name the app's own
// log messages, which are constants (tests/infra holds them equal); after them come the fields that Properties
// has, too. A message that is logged with its exception becomes a row of AppExceptions instead of AppTraces.

@description('Name of the Log Analytics workspace.')
param logsName string

@description('Name of the system topic of the data account.')
param systemTopicName string

@description('Name of the action group.')
param actionGroupName string

@description('Mail address that alerts go to; empty for none.')
param alertEmail string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

var actionGroups = empty(alertEmail) ? [] : [group.id]
var rules = [
  {
    name: 'run-suspended'
    title: 'A run was suspended: its message is on advance-poison or requested-poison'
    severity: 1
    window: 'PT5M'
    query: 'union AppTraces, AppExceptions | extend Text = coalesce(OuterMessage, Message) | where Text startswith "run suspended"'
  }
  {
    name: 'upload-poisoned'
    title: 'An upload could not be taken in: its event is on webjobs-blobtrigger-poison'
    severity: 1
    window: 'PT5M'
    query: 'AppTraces | where Message has "Moving message to queue" and Message has "webjobs-blobtrigger-poison"'
  }
  {
    name: 'needs-attention'
    title: 'A run needs a person: suspended, unreadable, overdue, or in teardown for over an hour'
    severity: 1
    window: 'PT30M'
    query: 'union AppTraces, AppExceptions | extend Text = coalesce(OuterMessage, Message) | where Text startswith "a run needs attention" or Text startswith "delete failed for an orphaned endpoint" or Text startswith "cancel failed for an orphaned job" or Text startswith "an endpoint with the tags of this app belongs to no run"'
  }
  {
    name: 'run-failed'
    title: 'A run failed'
    severity: 2
    window: 'PT5M'
    query: 'AppTraces | where Message startswith "run enters a stage" and tostring(Properties.stage) == "failed"'
  }
  {
    name: 'notification-lost'
    title: 'The webhook did not accept a notification'
    severity: 3
    window: 'PT5M'
    query: 'AppTraces | where Message startswith "notification refused by the webhook" or Message startswith "notification dropped"'
  }
]

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: logsName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: systemTopicName
}

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'finetune'
    enabled: true
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: rule.name
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: 'See docs/operate.md#${rule.name}'
      severity: rule.severity
      enabled: true
      scopes: [logs.id]
      evaluationFrequency: 'PT5M'
      windowSize: rule.window
      autoMitigate: true
      // The tables appear with the first telemetry, after this deployment.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: { actionGroups: actionGroups }
    }
  }
]

resource eventsLost 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'events-dead-lettered'
  location: 'global'
  tags: tags
  properties: {
    description: 'Events of uploads could not be delivered for a day. See docs/operate.md#events-dead-lettered'
    severity: 1
    enabled: true
    scopes: [topic.id]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'dead-lettered'
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: 'DeadLetteredCount'
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Total'
        }
      ]
    }
    actions: empty(alertEmail) ? [] : [{ actionGroupId: group.id }]
  }
}
