"""Every port in memory, with the same promises as the real adapters: `test_contract_*.py` holds both to them.

`MemoryCloud` is what Azure ML would know. Its operations are done at once unless `slow` is set, and then
wait for `settle()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.adapters.fixed_prices import FixedPrices
from shared.adapters.telemetry import OpenTelemetry
from shared.domain.errors import FinetuneError, TransientServiceError
from shared.domain.run.cost import Prices
from shared.domain.run.notifications import IgnoredNotification, Notification
from shared.domain.run.uploads import UploadCheck
from shared.ports import PriceList, Services
from tests.app.builders import NOW
from tests.app.fake_azure_ml import MemoryCloud
from tests.app.fake_storage import (
    MemoryContentIndex,
    MemoryCurrentModels,
    MemoryDatasets,
    MemoryEvaluations,
    MemoryIgnoredUploads,
    MemoryJobTimes,
    MemoryReports,
    MemoryRunLock,
    MemoryRuns,
    MemoryServingMemory,
    MemorySlots,
    MemoryUploads,
    MemoryUploadWriter,
)


@dataclass
class MemoryNotifications:
    """The queue of notifications, and the webhook at its other end.

    Attributes:
        waiting: What was queued, with its delay.
        taken: Bodies and headers that the receiver took.
        faults: What the next calls meet, by name.
    """

    waiting: list[tuple[Any, timedelta]] = field(default_factory=list)
    taken: list[tuple[bytes, Mapping[str, str]]] = field(default_factory=list)
    faults: dict[str, list[FinetuneError]] = field(default_factory=dict)

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """See `Notifications.enqueue`."""
        self._meet("enqueue")
        self.waiting.append((notification, delay))

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Webhook.post`."""
        self._meet("post")
        self.taken.append((body, headers))

    def _meet(self, call: str) -> None:
        if self.faults.get(call):
            raise self.faults[call].pop(0)


@dataclass
class MemoryAdvanceQueue:
    """The queue of runs to advance: messages with their delays."""

    waiting: list[tuple[str, timedelta]] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)

    def enqueue(self, message: str, *, delay: timedelta, ahead: bool = False) -> None:
        """See `AdvanceQueue.enqueue`; `ahead` are those messages that overtake the others."""
        self.waiting.append((message, delay))
        if ahead:
            self.ahead.append(message)


@dataclass
class MemoryUploadChecks:
    """The queue of uploads to look at again: what was queued, with its delay."""

    waiting: list[tuple[UploadCheck, timedelta]] = field(default_factory=list)

    def enqueue(self, check: UploadCheck, *, delay: timedelta) -> None:
        """See `UploadChecks.enqueue`."""
        self.waiting.append((check, delay))


@dataclass
class World:
    """All fakes together, and the clock."""

    runs: MemoryRuns = field(default_factory=MemoryRuns)
    run_lock: MemoryRunLock = field(default_factory=MemoryRunLock)
    content_index: MemoryContentIndex = field(default_factory=MemoryContentIndex)
    slots: MemorySlots = field(default_factory=MemorySlots)
    job_times: MemoryJobTimes = field(default_factory=MemoryJobTimes)
    serving_memory: MemoryServingMemory = field(default_factory=MemoryServingMemory)
    uploads: MemoryUploads = field(default_factory=MemoryUploads)
    upload_checks: MemoryUploadChecks = field(default_factory=MemoryUploadChecks)
    ignored_uploads: MemoryIgnoredUploads = field(default_factory=MemoryIgnoredUploads)
    datasets: MemoryDatasets = field(default_factory=MemoryDatasets)
    reports: MemoryReports = field(default_factory=MemoryReports)
    evaluations: MemoryEvaluations = field(default_factory=MemoryEvaluations)
    current_models: MemoryCurrentModels = field(default_factory=MemoryCurrentModels)
    cloud: MemoryCloud = field(default_factory=MemoryCloud)
    notifications: MemoryNotifications = field(default_factory=MemoryNotifications)
    advance_queue: MemoryAdvanceQueue = field(default_factory=MemoryAdvanceQueue)
    prices: Prices = field(default_factory=Prices)
    price_list: PriceList | None = None
    now: datetime = NOW

    @property
    def services(self) -> Services:
        """The fakes as handlers take them."""
        return Services(
            runs=self.runs,
            run_lock=self.run_lock,
            content_index=self.content_index,
            slots=self.slots,
            uploads=self.uploads,
            upload_writer=MemoryUploadWriter(self.uploads),
            upload_checks=self.upload_checks,
            ignored_uploads=self.ignored_uploads,
            datasets=self.datasets,
            reports=self.reports,
            evaluations=self.evaluations,
            current_models=self.current_models,
            registry=self.cloud,
            workspace=self.cloud,
            prices=self.price_list or FixedPrices(self.prices),
            training=self.cloud,
            metrics=self.cloud,
            endpoints=self.cloud,
            scoring=self.cloud,
            job_times=self.job_times,
            serving_memory=self.serving_memory,
            notifications=self.notifications,
            advance_queue=self.advance_queue,
            webhook=self.notifications,
            telemetry=OpenTelemetry(),
            now=lambda: self.now,
            jitter=lambda: 0.0,
        )

    def busy(self, call: str, times: int = 1) -> None:
        """Let the next calls of that name meet a service that is busy."""
        self.cloud.faults[call] = [TransientServiceError("busy", code="Busy") for _ in range(times)]
