"""Types of the request bodies that handlers rely on.

A field of a type is read, or kept and shown by GET. Other fields have no effect: they are refused by 501 when
the emulator is strict, and logged otherwise. Names are the wire's own.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Text = str | None
Texts = dict[str, str | None] | None
Object = dict[str, Any] | None


class Scale(Struct):
    """Nodes of a cluster."""

    minNodeCount: int = 0  # noqa: N815  # the wire's own names, here and below
    maxNodeCount: int = 1  # noqa: N815

    nodeIdleTimeBeforeScaleDown: Text = None  # noqa: N815


class ClusterSettings(Struct):
    """The inner properties of a cluster."""

    vmSize: str  # noqa: N815
    scaleSettings: Scale | None = None  # noqa: N815

    osType: Text = None  # noqa: N815
    vmPriority: Text = None  # noqa: N815
    remoteLoginPortPublicAccess: Text = None  # noqa: N815
    subnet: Object = None
    userAccountCredentials: Object = None  # noqa: N815
    virtualMachineImage: Object = None  # noqa: N815
    propertyBag: Object = None  # noqa: N815
    enableNodePublicIp: bool | None = None  # noqa: N815
    isolatedNetwork: bool | None = None  # noqa: N815


class ComputeProperties(Struct):
    """A compute of any kind."""

    computeType: str  # noqa: N815
    properties: ClusterSettings | None = None
    description: Text = None

    resourceId: Text = None  # noqa: N815
    computeLocation: Text = None  # noqa: N815
    disableLocalAuth: bool | None = None  # noqa: N815


class ComputeBody(Struct):
    """PUT of a compute."""

    properties: ComputeProperties
    location: Text = None
    tags: Texts = None
    identity: Object = None


class DatastoreProperties(Struct):
    """A datastore."""

    datastoreType: str  # noqa: N815
    accountName: str  # noqa: N815
    containerName: Text = None  # noqa: N815
    filesystem: Text = None
    endpoint: Text = None
    credentials: Object = None

    protocol: Text = None
    description: Text = None
    subscriptionId: Text = None  # noqa: N815
    resourceGroup: Text = None  # noqa: N815
    serviceDataAccessAuthIdentity: Text = None  # noqa: N815
    tags: Texts = None
    properties: Texts = None


class DatastoreBody(Struct):
    """PUT of a datastore."""

    properties: DatastoreProperties


class SecretsBody(Struct):
    """POST for a datastore's secrets; signatures here do not expire, whatever is asked for."""

    expirableSecret: bool | None = None  # noqa: N815
    expireAfterHours: int | None = None  # noqa: N815


class AssetProperties(Struct):
    """A version of any asset."""

    dataUri: Text = None  # noqa: N815
    modelUri: Text = None  # noqa: N815
    codeUri: Text = None  # noqa: N815
    componentSpec: dict[str, Any] | None = None  # noqa: N815
    description: Text = None
    tags: Texts = None
    properties: dict[str, str | int | None] | None = None  # azure-ai-ml sends code's hash_version as a number
    isAnonymous: bool | None = None  # noqa: N815
    isArchived: bool | None = None  # noqa: N815

    dataType: Text = None  # noqa: N815
    modelType: Text = None  # noqa: N815
    stage: Text = None
    jobName: Text = None  # noqa: N815
    flavors: Object = None
    system_metadata: Object = None
    autoDeleteSetting: Object = None  # noqa: N815
    intellectualProperty: Object = None  # noqa: N815
    referencedUris: list[Any] | None = None  # noqa: N815


class EnvironmentRoute(Struct):
    """Where a container answers one kind of request."""

    path: str
    port: int


class InferenceConfig(Struct):
    """How the platform talks to a custom container."""

    livenessRoute: EnvironmentRoute | None = None  # noqa: N815
    readinessRoute: EnvironmentRoute | None = None  # noqa: N815
    scoringRoute: EnvironmentRoute | None = None  # noqa: N815


class EnvironmentProperties(AssetProperties):
    """A version of an environment."""

    image: Text = None
    condaFile: Text = None  # noqa: N815
    build: Object = None
    osType: Text = None  # noqa: N815
    inferenceConfig: InferenceConfig | None = None  # noqa: N815


class EnvironmentBody(Struct):
    """PUT of a version of an environment."""

    properties: EnvironmentProperties


class AssetBody(Struct):
    """PUT of a version."""

    properties: AssetProperties


class JobNode(Struct):
    """A node of a pipeline."""

    componentId: Text = None  # noqa: N815
    computeId: Text = None  # noqa: N815
    inputs: dict[str, Any] | None = None
    outputs: dict[str, dict[str, Any]] | None = None

    name: Text = None
    type: Text = None
    environmentId: Text = None  # noqa: N815
    codeId: Text = None  # noqa: N815
    display_name: Text = None
    comment: Text = None
    jobType: Text = None  # noqa: N815
    command: Text = None
    experimentName: Text = None  # noqa: N815
    displayName: Text = None  # noqa: N815
    _source: Text = None
    tags: Object = None
    properties: Object = None
    environment_variables: Object = None
    resources: Object = None
    limits: Object = None
    distribution: Object = None
    identity: Object = None
    queue_settings: Object = None
    services: Object = None


class JobProperties(Struct):
    """A job of either kind."""

    jobType: str  # noqa: N815
    jobs: dict[str, JobNode] | None = None
    inputs: dict[str, dict[str, Any]] | None = None
    outputs: dict[str, dict[str, Any]] | None = None
    settings: Object = None
    tags: Texts = None
    properties: Texts = None
    experimentName: Text = None  # noqa: N815
    displayName: Text = None  # noqa: N815
    computeId: Text = None  # noqa: N815
    command: Text = None
    isArchived: bool | None = None  # noqa: N815

    environmentId: Text = None  # noqa: N815
    codeId: Text = None  # noqa: N815
    componentId: Text = None  # noqa: N815
    description: Text = None
    sourceJobId: Text = None  # noqa: N815
    status: Text = None
    environmentVariables: Texts = None  # noqa: N815
    resources: Object = None
    distribution: Object = None
    limits: Object = None
    identity: Object = None
    queueSettings: Object = None  # noqa: N815
    services: Object = None
    notificationSetting: Object = None  # noqa: N815


class JobBody(Struct):
    """PUT of a job."""

    properties: JobProperties


class PendingUploadBody(Struct):
    """POST for a container to upload code to."""

    pendingUploadId: Text = None  # noqa: N815
    pendingUploadType: Text = None  # noqa: N815


class DataReferenceBody(Struct):
    """PUT for a container of a registry to upload to."""

    assetId: Text = None  # noqa: N815
    temporaryDataReferenceId: Text = None  # noqa: N815
    temporaryDataReferenceType: Text = None  # noqa: N815


class RunDataBody(Struct):
    """POST for all that the history has of a run."""

    runId: str = ""  # noqa: N815

    selectRunMetadata: bool | None = None  # noqa: N815
    selectRunDefinition: bool | None = None  # noqa: N815
    selectJobSpecification: bool | None = None  # noqa: N815


class RunPatchBody(Struct):
    """PATCH of a run."""

    tags: Texts = None
    properties: Texts = None
    displayName: Text = None  # noqa: N815
    description: Text = None
    hidden: bool | None = None

    runId: Text = None  # noqa: N815


class UrisBody(Struct):
    """POST for the addresses of data by their asset ids."""

    values: list[str] | None = None


class ExperimentSearchBody(Struct):
    """POST of an MLflow search for experiments."""

    filter: Text = None
    max_results: int | None = None
    order_by: list[str] | None = None
    page_token: Text = None
    view_type: Text = None


class RunSearchBody(Struct):
    """POST of an MLflow search."""

    filter: Text = None
    experiment_ids: list[str] | None = None
    max_results: int | None = None
    page_token: Text = None

    run_view_type: Text = None
    order_by: list[str] | None = None
