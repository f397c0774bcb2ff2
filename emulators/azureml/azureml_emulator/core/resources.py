"""What the emulator remembers of each kind of resource.

``properties`` holds what the client sent with the service's defaults filled in; everything that changes with
time is computed from the other fields at each request.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

Properties = dict[str, Any]


class Compute(msgspec.Struct):
    """A cluster. Its state is that of the operation that changes it."""

    name: str
    location: str
    properties: Properties
    created: datetime
    modified: datetime
    operation: str
    tags: dict[str, str] = {}
    identity: dict[str, Any] | None = None


class Datastore(msgspec.Struct):
    """A storage container under a name. ``secrets`` never leaves through GET."""

    name: str
    properties: Properties
    secrets: Properties
    created: datetime
    is_default: bool = False


class AssetVersion(msgspec.Struct):
    """A version of a data, model, component, environment or code asset."""

    family: str
    name: str
    version: str
    properties: Properties
    created: datetime
    modified: datetime | None = None


class Node(msgspec.Struct):
    """A child run of a job.

    Attributes:
        work: The fine-tuning step it does; ``none`` for one that only passes time.
        starts: When it starts and when it ends are fixed at submission.
        done: Whether its work was carried out.
        error: Code and message, once its work failed.
    """

    run_id: str
    name: str
    component: str
    compute: str
    work: str
    starts: datetime
    ends: datetime
    done: bool = False
    error: tuple[str, str] | None = None


class Metric(msgspec.Struct):
    """One value of a run's metric.

    Attributes:
        share: How far through the run it was logged, 0 to 1; it shows once the clock gets there.
    """

    key: str
    value: float
    step: int
    share: float


class Job(msgspec.Struct):
    """A pipeline or command job and its child runs."""

    name: str
    properties: Properties
    digest: str
    submitted: datetime
    experiment_id: str
    run_number: int
    nodes: list[Node]
    failed: datetime | None = None
    cancel_asked: datetime | None = None
    cancel_done: datetime | None = None
    metrics: dict[str, list[Metric]] = {}
    parameters: dict[str, dict[str, str]] = {}
    told: str = ""
    ends: datetime | None = None


class Endpoint(msgspec.Struct):
    """A managed online endpoint. ``operation`` is the latest one on it."""

    name: str
    location: str
    properties: Properties
    tags: dict[str, str]
    identity: dict[str, Any]
    created: datetime
    modified: datetime
    operation: str
    primary_key: str
    secondary_key: str
    provisioned: bool = False


class Deployment(msgspec.Struct):
    """A deployment behind an endpoint. ``operation`` is the latest one on it."""

    endpoint: str
    name: str
    location: str
    properties: Properties
    tags: dict[str, str]
    sku: dict[str, Any]
    created: datetime
    modified: datetime
    operation: str
    logs: list[str] = []


class LongRunning(msgspec.Struct):
    """A long-running operation.

    Attributes:
        kind: What it does, ``endpoint.delete``; a key of ``routes.COMPLETIONS``.
        target: The name of what it is about.
        ends: When it ends; None never does.
        status: How it ends.
        settled: Whether it has ended and its effect has been applied.
    """

    id: str
    kind: str
    target: str
    started: datetime
    ends: datetime | None
    status: str = "Succeeded"
    error: dict[str, Any] | None = None
    settled: bool = False
