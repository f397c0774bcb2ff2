"""Types of the request bodies that create and change endpoints and deployments; see `request_bodies`."""

from __future__ import annotations

from msgspec import Struct

from azureml_emulator.core.request_bodies import Object, Text, Texts


class EndpointProperties(Struct):
    """An online endpoint."""

    authMode: str  # noqa: N815
    traffic: dict[str, int] | None = None
    mirrorTraffic: dict[str, int] | None = None  # noqa: N815
    properties: Texts = None
    description: Text = None

    publicNetworkAccess: Text = None  # noqa: N815
    compute: Text = None
    provisioningState: Text = None  # noqa: N815
    scoringUri: Text = None  # noqa: N815
    swaggerUri: Text = None  # noqa: N815
    keys: Object = None


class EndpointBody(Struct):
    """PUT of an endpoint."""

    properties: EndpointProperties
    location: Text = None
    tags: Texts = None
    identity: Object = None

    kind: Text = None
    id: Text = None
    name: Text = None
    type: Text = None
    sku: Object = None
    systemData: Object = None  # noqa: N815


class RequestSettings(Struct):
    """Limits of a deployment's requests."""

    requestTimeout: str = "PT5S"  # noqa: N815
    maxConcurrentRequestsPerInstance: int = 1  # noqa: N815

    maxQueueWait: Text = None  # noqa: N815


class Probe(Struct):
    """How the platform asks a container whether it is well; durations are ISO 8601."""

    initialDelay: str = "PT10S"  # noqa: N815
    period: str = "PT10S"
    timeout: str = "PT2S"
    failureThreshold: int = 30  # noqa: N815
    successThreshold: int = 1  # noqa: N815


class DeploymentProperties(Struct):
    """An online deployment."""

    model: Text = None
    instanceType: str = ""  # noqa: N815
    requestSettings: RequestSettings | None = None  # noqa: N815
    environmentId: Text = None  # noqa: N815
    livenessProbe: Probe | None = None  # noqa: N815
    readinessProbe: Probe | None = None  # noqa: N815
    scaleSettings: Object = None  # noqa: N815
    environmentVariables: Texts = None  # noqa: N815
    properties: Texts = None

    endpointComputeType: Text = None  # noqa: N815
    description: Text = None
    modelMountPath: Text = None  # noqa: N815
    egressPublicNetworkAccess: Text = None  # noqa: N815
    provisioningState: Text = None  # noqa: N815
    codeConfiguration: Object = None  # noqa: N815
    dataCollector: Object = None  # noqa: N815
    appInsightsEnabled: bool | None = None  # noqa: N815


class Sku(Struct):
    """How many instances."""

    capacity: int = 1

    name: Text = None
    tier: Text = None
    family: Text = None
    size: Text = None


class DeploymentBody(Struct):
    """PUT of a deployment."""

    properties: DeploymentProperties
    sku: Sku | None = None
    location: Text = None
    tags: Texts = None

    kind: Text = None
    id: Text = None
    name: Text = None
    type: Text = None
    identity: Object = None
    systemData: Object = None  # noqa: N815


class RegenerateBody(Struct):
    """POST for a new key of an endpoint. azure-ai-ml sends the key that is to be replaced as ``keyValue``."""

    keyType: Text = None  # noqa: N815
    keyValue: Text = None  # noqa: N815


class LogsBody(Struct):
    """POST for a deployment's logs."""

    tail: int | None = None

    containerType: Text = None  # noqa: N815
