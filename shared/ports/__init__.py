"""Protocols for storage, Azure ML and other services. Adapters implement them; unit tests use fakes.

Errors are those of `shared.domain.errors`: TransientServiceError where trying again may help,
ServiceRefusedError where it will not. Times are UTC throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.ports.azureml import (
    Endpoints,
    MetricsReader,
    PriceList,
    Registry,
    Scoring,
    ScoringTarget,
    Training,
    Workspace,
)
from shared.ports.coordination import (
    ContentIndex,
    CurrentModels,
    JobTimes,
    ServingMemory,
    SlotHolders,
    Slots,
    StoredCurrent,
)
from shared.ports.datasets import Datasets, Evaluations, Reports, Snapshot, StoredEvaluation
from shared.ports.outgoing import AdvanceQueue, BegunTrace, Notifications, Telemetry, Webhook
from shared.ports.records import RunLock, RunPage, RunStore, StoredRun
from shared.ports.uploads import IgnoredUploads, UploadChecks, Uploads, UploadWriter

__all__ = [
    "AdvanceQueue",
    "BegunTrace",
    "ContentIndex",
    "CurrentModels",
    "Datasets",
    "Endpoints",
    "Evaluations",
    "IgnoredUploads",
    "JobTimes",
    "MetricsReader",
    "Notifications",
    "PriceList",
    "Registry",
    "Reports",
    "RunLock",
    "RunPage",
    "RunStore",
    "Scoring",
    "ScoringTarget",
    "Services",
    "ServingMemory",
    "SlotHolders",
    "Slots",
    "Snapshot",
    "StoredCurrent",
    "StoredEvaluation",
    "StoredRun",
    "Telemetry",
    "Training",
    "UploadChecks",
    "UploadWriter",
    "Uploads",
    "Webhook",
    "Workspace",
]


@dataclass(frozen=True, slots=True)
class Services:
    """All ports, the clock and the source of jitter, as one argument of a handler.

    Attributes:
        now: The time (UTC).
        jitter: A random number in [0, 1).
    """

    runs: RunStore
    run_lock: RunLock
    content_index: ContentIndex
    slots: Slots
    uploads: Uploads
    upload_writer: UploadWriter
    upload_checks: UploadChecks
    ignored_uploads: IgnoredUploads
    datasets: Datasets
    reports: Reports
    evaluations: Evaluations
    current_models: CurrentModels
    registry: Registry
    workspace: Workspace
    prices: PriceList
    training: Training
    metrics: MetricsReader
    endpoints: Endpoints
    scoring: Scoring
    job_times: JobTimes
    serving_memory: ServingMemory
    notifications: Notifications
    advance_queue: AdvanceQueue
    webhook: Webhook
    telemetry: Telemetry
    now: Callable[[], datetime]
    jitter: Callable[[], float]
