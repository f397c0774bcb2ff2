"""Types of the request bodies that handlers rely on.

Fields that are not named here pass untouched. Names are the wire's own.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

Text = str | None
Texts = dict[str, str | None] | None
Object = dict[str, Any] | None


class Scale(Struct):
    """Nodes of a cluster."""

    minNodeCount: int = 0  # noqa: N815  # the wire's own names, here and below
    maxNodeCount: int = 1  # noqa: N815


class ClusterSettings(Struct):
    """The inner properties of a cluster."""

    vmSize: str  # noqa: N815
    scaleSettings: Scale | None = None  # noqa: N815


class ComputeProperties(Struct):
    """A compute of any kind."""

    computeType: str  # noqa: N815
    properties: ClusterSettings | None = None
    description: Text = None


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


class DatastoreBody(Struct):
    """PUT of a datastore."""

    properties: DatastoreProperties


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


class JobBody(Struct):
    """PUT of a job."""

    properties: JobProperties


class EndpointProperties(Struct):
    """An online endpoint."""

    authMode: str  # noqa: N815
    traffic: dict[str, int] | None = None
    mirrorTraffic: dict[str, int] | None = None  # noqa: N815
    properties: Texts = None
    description: Text = None


class EndpointBody(Struct):
    """PUT of an endpoint."""

    properties: EndpointProperties
    location: Text = None
    tags: Texts = None
    identity: Object = None


class RequestSettings(Struct):
    """Limits of a deployment's requests."""

    requestTimeout: str = "PT5S"  # noqa: N815
    maxConcurrentRequestsPerInstance: int = 1  # noqa: N815


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


class Sku(Struct):
    """How many instances."""

    capacity: int = 1


class DeploymentBody(Struct):
    """PUT of a deployment."""

    properties: DeploymentProperties
    sku: Sku | None = None
    location: Text = None
    tags: Texts = None


class LogsBody(Struct):
    """POST for a deployment's logs."""

    tail: int | None = None


class RunSearchBody(Struct):
    """POST of an MLflow search."""

    filter: Text = None
    experiment_ids: list[str] | None = None
    max_results: int | None = None
    page_token: Text = None


def type_error(document: dict[str, Any], kind: type[Struct]) -> str | None:
    """The first field of a body that has a wrong type, as text; None if there is none."""
    try:
        msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        return str(error)
    return None
