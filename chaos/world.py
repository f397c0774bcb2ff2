"""Everything around the workers: storage, Azure ML, and an auditor who believes neither records nor logs."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobLeaseClient, BlobServiceClient
from azure.storage.queue import QueueServiceClient
from azureml_emulator import Emulator

from local.azurite import ACCOUNT, Azurite
from shared.adapters.storage.account import CONTAINERS
from shared.adapters.storage.upload_queue import QUEUE as UPLOADS
from shared.domain.run.index import IndexEntry
from shared.domain.run.index_metadata import from_metadata
from shared.domain.run.names import run_id_for
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage

ROOT = Path(__file__).parents[1]
ROWS = {"test": 2, "validation": 2, "train": 12}
"""Rows of each split: as few as training takes, since it is not what is tested. `train` opens the run."""

OTHER_ACCOUNT = "otherinstallation"

QUEUE = timedelta(hours=1)

CORES = 100_000
"""Of every VM family: however many runs are tried at a time, a refusal is a fault that was meant."""

CLUSTERS = tuple(f"c-{number}" for number in range(1000))
"""What run.json may name. Each run takes another one, so that its creation is part of the run."""

ENDED_JOBS = frozenset({"Completed", "Failed", "Canceled"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A dataset that was dropped in storage, and the run that it must become."""

    dataset: str
    path: str
    run_id: str
    cluster: str = CLUSTERS[0]


@dataclass(frozen=True, slots=True)
class Audit:
    """What one upload has caused in Azure ML, by Azure ML's own account.

    Attributes:
        jobs: Jobs ever submitted for it.
        models: Model versions registered.
        endpoints: Endpoints ever created.
        deployments: Deployments ever created.
        replaced: Endpoints that were gone when the next one was created: Azure ML had failed on them.
        attempts: Ways of serving that the run has tried: there may be a deployment for each.
        running: Jobs that still run, and endpoints that are still there.
    """

    jobs: int
    models: int
    endpoints: int
    deployments: int
    attempts: int
    running: int
    replaced: int = 0

    @property
    def duplicates(self) -> int:
        """How much there is of anything that there may be one of."""
        endpoints = self.endpoints - self.replaced
        made = (self.jobs, self.models, endpoints, self.deployments - self.replaced - self.attempts + 1)
        return sum(max(0, count - 1) for count in made)


class World:
    """Azurite and the Azure ML emulator."""

    def __init__(self, azurite: Azurite, emulator: Emulator, account: str = ACCOUNT) -> None:
        """Create the containers, and the queue whose messages all get lost."""
        self.emulator = emulator
        self._spoilt: dict[str, bytes] = {}
        self._clusters = cycle(CLUSTERS)
        self._azurite = azurite
        self._connection = azurite.connection_string_of(account)
        self._blobs = BlobServiceClient.from_connection_string(self._connection)
        for name in CONTAINERS:
            if not self._blobs.get_container_client(name).exists():
                self._blobs.create_container(name)
        QueueServiceClient.from_connection_string(self._connection).create_queue(UPLOADS)
        # Every run puts the environment of its deployment, and not only the first.
        absent = {"error": {"code": "NotFound", "message": "There is no such environment."}}
        emulator.add_fault(match={"operation": "environments.get"}, status=404, body=absent, count=None)

    def environment(self, **changes: str) -> dict[str, str]:
        """The whole environment of a worker."""
        example: dict[str, str] = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
        chosen = {
            "TrainingStorage": self._connection,
            "FINETUNE_PARAMETERS": '{"max_steps": 2}',
            "SMOKE_TEST_ROWS": "1",
            "EVALUATION_ROWS": "2",
            # Far apart, so that few looks are enough to see a deadline pass.
            "SETTLE_SECONDS": "0",
            "OPERATION_POLL_SECONDS": "300",
            "DEPLOYMENT_DEADLINE_MINUTES": "45",
            "TRAINING_DEADLINE_HOURS": "6",
            # So high that nobody waits, yet the guards and their calls are there.
            "MAX_TRAINING_RUNS": "1000",
            "MAX_LIVE_ENDPOINTS": "1000",
            "ALLOWED_COMPUTES": ",".join(CLUSTERS),
        }
        system = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**system, **example, **self.emulator.environment, **chosen, **changes}

    def beside(self) -> World:
        """The same workspace with another storage account."""
        return World(self._azurite, self.emulator, OTHER_ACCOUNT)

    def upload(self, dataset: str | None = None, options: Mapping[str, Any] = MappingProxyType({})) -> Upload:
        """Drop a dataset of its own content, and of its own name if none is given, with its run's options."""
        self._forget_strategies()
        dataset = dataset or f"d{uuid.uuid4().hex[:10]}"
        path = f"{dataset}/train.jsonl"
        cluster = next(self._clusters)
        text = json.dumps({"compute": cluster, **options})
        self._blobs.get_blob_client("uploads", f"{dataset}/run.json").upload_blob(text)
        for split, rows in ROWS.items():
            blob = self._blobs.get_blob_client("uploads", f"{dataset}/{split}.jsonl")
            blob.upload_blob(_rows(f"{dataset} {split}", rows))
        etag = str(blob.get_blob_properties().etag)
        return Upload(dataset, path, run_id_for("uploads", path, etag), cluster)

    def upload_again(self, upload: Upload, rows: int) -> Upload:
        """Drop other training data of so many rows in the place of an upload's."""
        blob = self._blobs.get_blob_client("uploads", upload.path)
        etag = str(blob.upload_blob(_rows(f"{upload.dataset} anew", rows), overwrite=True)["etag"])
        return Upload(upload.dataset, upload.path, run_id_for("uploads", upload.path, etag))

    def upload_file(self, content: bytes, suffix: str) -> Upload:
        """Drop a dataset of one file, whatever is in it."""
        dataset = f"d{uuid.uuid4().hex[:10]}"
        path = f"{dataset}.jsonl{suffix}"
        blob = self._blobs.get_blob_client("uploads", path)
        etag = str(blob.upload_blob(content)["etag"])
        return Upload(dataset, path, run_id_for("uploads", path, etag))

    def _forget_strategies(self) -> None:
        """Have every run try all strategies in the setting's order, so that all make the same calls."""
        container = self._blobs.get_container_client("coordination")
        for name in container.list_blob_names(name_starts_with="serving/"):
            with suppress(ResourceNotFoundError):
                container.delete_blob(name)

    def entry(self, run_id: str) -> IndexEntry | None:
        """The run's entry in the index, or None if there is no record."""
        try:
            blob = self._blobs.get_blob_client("runs", f"{run_id}.json").get_blob_properties()
        except ResourceNotFoundError:
            return None
        return from_metadata(run_id, blob.metadata or {})

    def record(self, run_id: str) -> Run:
        """The run's record."""
        body = self._blobs.get_blob_client("runs", f"{run_id}.json").download_blob().readall()
        return msgspec.json.decode(body, type=Run)

    def stages(self, run_id: str) -> set[Stage]:
        """Every stage that a run has been in."""
        return {entry.stage for entry in self.record(run_id).history}

    def expire_lease(self, run_id: str) -> None:
        """Do at once what storage does 60 s after a worker has died: end its lease."""
        lease: Any = BlobLeaseClient(self._blobs.get_blob_client("coordination", f"run/{run_id}"))
        try:
            lease.break_lease(lease_break_period=0)
        except HttpResponseError as fault:
            if fault.status_code not in (404, 409):
                raise

    def spoil_record(self, run_id: str) -> None:
        """Write nonsense over a record, keeping its metadata, as a bug or a hand might."""
        blob = self._blobs.get_blob_client("runs", f"{run_id}.json")
        self._spoilt[run_id] = blob.download_blob().readall()
        blob.upload_blob(b'{"run_id": ', overwrite=True, metadata=blob.get_blob_properties().metadata)

    def mend_record(self, run_id: str) -> None:
        """Put the record back, and leave the metadata as it is by now."""
        blob = self._blobs.get_blob_client("runs", f"{run_id}.json")
        metadata = blob.get_blob_properties().metadata
        blob.upload_blob(self._spoilt.pop(run_id), overwrite=True, metadata=metadata)

    def end_operations(self, kind: str, target: str) -> int:
        """End what was never to end, as the service's own people might; returns how many there were."""
        return self.emulator.complete_operations(kind, target)

    def hold_up_jobs(self, upload: Upload) -> int:
        """Have the upload's jobs begin an hour later, as when all nodes are taken; returns how many."""
        held = [
            job["name"]
            for job in self.emulator.resources("jobs", containing=upload.run_id)["jobs"]
            if job["name"] == upload.run_id
        ]
        for name in held:
            self.emulator.delay_job(name, QUEUE.total_seconds())
        return len(held)

    def audit(self, upload: Upload) -> Audit:
        """Count what the upload has caused, found by dataset, not by the names that it ought to have."""
        dataset = upload.dataset
        found = self.emulator.resources("operations", "jobs", "assets", "endpoints", containing=dataset)
        made = [one for one in found["operations"] if dataset in one["target"]]
        # A job's name may be right and its tags lost, or the other way round: either is one of ours.
        jobs = [
            job
            for job in found["jobs"]
            if dataset in job["name"] or _tags(job["properties"]).get("dataset") == dataset
        ]
        models = [asset for asset in found["assets"] if asset["family"] == "models"]
        left = [one["name"] for one in found["endpoints"] if dataset in one["name"]]
        return Audit(
            jobs=len(jobs),
            models=sum(asset["name"].endswith(dataset) for asset in models),
            endpoints=sum(one["kind"] == "endpoint.create" for one in made),
            deployments=sum(one["kind"] == "deployment.create" for one in made),
            attempts=self._attempts(upload.run_id),
            running=len(left) + sum(job["status"] not in ENDED_JOBS for job in jobs),
            replaced=_replaced(made),
        )

    def _attempts(self, run_id: str) -> int:
        try:
            serving = self.record(run_id).serving
        except (ResourceNotFoundError, msgspec.MsgspecError):
            return 1
        if serving is None:
            return 1
        return serving.earlier + min(len(serving.order), len(serving.failed) + 1)

    def deployments(self, upload: Upload) -> list[str]:
        """The names of the deployments that the upload's endpoint has."""
        found = self.emulator.resources("deployments", containing=upload.run_id)["deployments"]
        return [str(one["name"]) for one in found]

    def most_endpoints_at_once(self) -> int:
        """The most endpoints that ever lived at once, from being asked for to being gone."""
        moments: list[tuple[datetime, int]] = []
        for one in self.emulator.resources("operations")["operations"]:
            if one["kind"] == "endpoint.create":
                moments.append((datetime.fromisoformat(one["started"]), 1))
            elif one["kind"] == "endpoint.delete" and one["ends"] is not None:
                moments.append((datetime.fromisoformat(one["ends"]), -1))
        return max(accumulate(change for _, change in sorted(moments)), default=0)

    def forget(self, upload: Upload) -> None:
        """Remove a finished run's record, so that later listings are not slower for it, and its upload."""
        self._blobs.get_blob_client("runs", f"{upload.run_id}.json").delete_blob()
        uploads = self._blobs.get_container_client("uploads")
        for name in uploads.list_blob_names(name_starts_with=upload.dataset):
            uploads.delete_blob(name)


def _tags(properties: Mapping[str, Any]) -> Mapping[str, str]:
    return properties.get("tags") or {}


def _replaced(operations: list[dict[str, Any]]) -> int:
    begun = [one["started"] for one in operations if one["kind"] == "endpoint.create"]
    gone = [one["ends"] for one in operations if one["kind"] == "endpoint.delete" and one["ends"]]
    return sum(ends <= max(begun, default="") for ends in gone)


def _rows(content: str, rows: int) -> bytes:
    lines = []
    for number in range(rows):
        turns = [
            {"role": "user", "content": f"What is the word of {content}, number {number}?"},
            {"role": "assistant", "content": f"The word is {content[::-1]}-{number}."},
        ]
        lines.append(json.dumps({"messages": turns}))
    return "\n".join(lines).encode() + b"\n"


@contextmanager
def world() -> Iterator[World]:
    """Start both emulators."""
    accounts = (ACCOUNT, OTHER_ACCOUNT)
    with Azurite(accounts=accounts) as azurite:
        storage = {account: azurite.connection_string_of(account) for account in accounts}
        with Emulator(pace="instant", strict=True, storage=storage, default_quota=CORES) as emulator:
            yield World(azurite, emulator)
