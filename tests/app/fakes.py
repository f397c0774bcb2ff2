"""Every port in memory, with the same promises as the real adapters: `test_contract_*.py` holds both to them.

`MemoryCloud` is what Azure ML would know. Its operations are done at once unless `slow` is set, and then
wait for `settle()`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.adapters.telemetry import OpenTelemetry
from shared.domain.base_model import BaseModel, parse_base_model
from shared.domain.component import Component, parse_component
from shared.domain.dataset import Split
from shared.domain.errors import (
    FinetuneError,
    InvalidRunError,
    RequestError,
    RunBusyError,
    RunChangedError,
    TransientServiceError,
    UnknownRunError,
    UploadReplacedError,
)
from shared.domain.index import IndexEntry, from_metadata, to_metadata
from shared.domain.names import RUN_TAG, is_run_id, model_name
from shared.domain.news import Notice
from shared.domain.observation import Provisioning, SeenCompute, SeenDeployment, SeenEndpoint, SeenJob
from shared.domain.places import Place
from shared.domain.record import read_record
from shared.domain.run import (
    Metrics,
    ModelFacts,
    Run,
    SourceFile,
    TrainingPlan,
    merge_callers_fields,
    same_progress,
)
from shared.ports import Places, RunPage, ScoringTarget, Services, StoredRun
from tests.app.builders import NOW
from tests.app.catalogue import COMPONENT, component_body, model_body

LOGGED = Metrics(latest={"eval_loss": 1.5}, history={}, train_loss=1.0, eval_loss=1.5)
SIZES = {"standard_nc24ads_a100_v4": 1, "standard_nc48ads_a100_v4": 2, "standard_ds3_v2": 0}


@dataclass
class Blob:
    """A stored record: its bytes, its version and its metadata."""

    body: bytes
    etag: str
    metadata: dict[str, str]


class MemoryRuns:
    """Run records in a dictionary."""

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}
        self._versions = itertools.count(1)
        self._lock = threading.Lock()
        self.before_write: Callable[[], None] = lambda: None

    def create(self, run: Run) -> bool:
        """See `RunStore.create`."""
        with self._lock:
            if run.run_id in self.blobs:
                return False
            self.blobs[run.run_id] = self._blob(run)
            return True

    def load(self, run_id: str) -> StoredRun:
        """See `RunStore.load`."""
        blob = self._find(run_id)
        run = read_record(run_id, blob.body)
        return StoredRun(run, blob.etag, from_metadata(run_id, blob.metadata).parked)

    def save(self, read: StoredRun, run: Run) -> StoredRun:
        """See `RunStore.save`."""
        return self._save(read, run, yield_to_callers=False)

    def save_unless_asked(self, read: StoredRun, run: Run) -> StoredRun:
        """See `RunStore.save_unless_asked`."""
        return self._save(read, run, yield_to_callers=True)

    def update(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        """See `RunStore.update`."""
        while True:
            read = self.load(run_id)
            changed = change(read.run)
            if changed == read.run or self._replace(changed, read.etag):
                return changed

    def entries(self) -> Iterator[IndexEntry]:
        """See `RunStore.entries`."""
        return iter([from_metadata(run_id, blob.metadata) for run_id, blob in sorted(self.blobs.items())])

    def page(self, *, limit: int, cursor: str | None) -> RunPage:
        """See `RunStore.page`."""
        if cursor is not None and not cursor.startswith("after "):
            raise RequestError(400, "the cursor is not one of this list", code="InvalidCursor")
        after = (cursor or "").removeprefix("after ")
        entries = [entry for entry in self.entries() if entry.run_id > after]
        more = len(entries) > limit
        return RunPage(tuple(entries[:limit]), f"after {entries[limit - 1].run_id}" if more else None)

    def park(self, run_id: str, reason: str, *, until: datetime) -> None:
        """See `RunStore.park`."""
        self._mark(run_id, {"parked": reason, "parked_until": until.isoformat()})

    def unpark(self, run_id: str) -> bool:
        """See `RunStore.unpark`."""
        return self._mark(run_id, {})

    def corrupt(self, run_id: str, body: bytes = b"{") -> None:
        """Break a record as a disk or a hand would; its index entry stays."""
        self._find(run_id).body = body

    def _find(self, run_id: str) -> Blob:
        if not is_run_id(run_id) or run_id not in self.blobs:
            raise UnknownRunError(f"there is no run {run_id!r}")
        return self.blobs[run_id]

    def _blob(self, run: Run) -> Blob:
        return Blob(msgspec.json.encode(run), f'"{next(self._versions)}"', to_metadata(run))

    def _replace(self, run: Run, etag: str) -> str | None:
        self.before_write()
        with self._lock:
            if self._find(run.run_id).etag != etag:
                return None
            self.blobs[run.run_id] = self._blob(run)
            return self.blobs[run.run_id].etag

    def _save(self, read: StoredRun, run: Run, *, yield_to_callers: bool) -> StoredRun:
        etag = read.etag
        while True:
            written = self._replace(run, etag)
            if written:
                return StoredRun(run, written)
            current = self.load(run.run_id)
            if not same_progress(current.run, read.run):
                raise RunChangedError(f"{run.run_id} was advanced by another worker")
            merged = merge_callers_fields(run, current.run)
            if yield_to_callers and merged != run:
                return current
            run, etag = merged, current.etag

    def _mark(self, run_id: str, parked: Mapping[str, str]) -> bool:
        blob = self._find(run_id)
        was_parked = blob.metadata.pop("parked", None) is not None
        blob.metadata.pop("parked_until", None)
        if parked or was_parked:
            blob.metadata |= parked
            blob.etag = f'"{next(self._versions)}"'
        return was_parked


class MemoryClaims:
    """Leases and content claims in dictionaries."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self._versions = itertools.count(1)
        self.content: dict[str, str] = {}
        self.listed: dict[Place, Places] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, run_id: str) -> Iterator[None]:
        """See `Claims.hold`."""
        with self._lock:
            if run_id in self.held:
                raise RunBusyError(f"{run_id} is being advanced by another worker")
            self.held.add(run_id)
        try:
            yield
        finally:
            self.held.discard(run_id)

    def claim_content(self, digest: str, run_id: str) -> str:
        """See `Claims.claim_content`."""
        with self._lock:
            return self.content.setdefault(digest, run_id)

    def places(self, place: Place) -> Places:
        """See `Claims.places`."""
        return self.listed.get(place, Places(frozenset(), None))

    def replace_places(self, place: Place, runs: Iterable[str], etag: str | None) -> bool:
        """See `Claims.replace_places`."""
        with self._lock:
            if self.places(place).etag != etag:
                return False
            self.listed[place] = Places(frozenset(runs), f'"{next(self._versions)}"')
            return True

    def take_over_content(self, digest: str, run_id: str, *, previous: str) -> bool:
        """See `Claims.take_over_content`."""
        with self._lock:
            if self.content.get(digest) != previous:
                return False
            self.content[digest] = run_id
            return True


class MemoryUploads:
    """Uploaded files by path."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self._versions = itertools.count(1)

    def put(self, path: str, body: bytes) -> None:
        """Upload a file, over whatever was there."""
        self.files[path] = (f'"0x{next(self._versions)}"', body)

    def find(self, path: str) -> SourceFile | None:
        """See `Uploads.find`."""
        if path not in self.files:
            return None
        etag, body = self.files[path]
        return SourceFile(path=path, etag=etag, size=len(body))

    def read(self, file: SourceFile) -> Iterator[bytes]:
        """See `Uploads.read`."""
        body = self._body(file)
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    def read_small(self, file: SourceFile, limit: int) -> bytes:
        """See `Uploads.read_small`."""
        return self._body(file)[: limit + 1]

    def _body(self, file: SourceFile) -> bytes:
        etag, body = self.files.get(file.path, ("", b""))
        if etag != file.etag:
            raise UploadReplacedError(f"{file.path} was replaced or deleted while it was being read")
        return body


class MemoryPinnedCopy:
    """Three files being written; nothing of them is to be seen before `commit`."""

    def __init__(self, run_id: str, files: dict[str, bytes]) -> None:
        self._run_id = run_id
        self._files = files
        self._written: dict[Split, list[bytes]] = {split: [] for split in Split}

    @property
    def sinks(self) -> Mapping[Split, Callable[[bytes], object]]:
        """See `PinnedCopy.sinks`."""
        return {split: pieces.append for split, pieces in self._written.items()}

    def commit(self, splits: Iterable[Split]) -> None:
        """See `PinnedCopy.commit`."""
        for split in splits:
            self._files[f"{self._run_id}/{split}.jsonl"] = b"".join(self._written[split])


class MemoryDatasets:
    """Pinned copies by path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    @contextmanager
    def pin(self, run_id: str) -> Iterator[MemoryPinnedCopy]:
        """See `Datasets.pin`."""
        yield MemoryPinnedCopy(run_id, self.files)

    def uri(self, run_id: str, split: Split) -> str:
        """See `Datasets.uri`."""
        return f"azureml://datastores/finetune_datasets/paths/{run_id}/{split}.jsonl"


class MemoryReports:
    """Reports by run and form."""

    def __init__(self) -> None:
        self.saved: dict[tuple[str, bool], bytes] = {}

    def save(self, run_id: str, *, json: bytes, html: str) -> None:
        """See `Reports.save`."""
        self.saved |= {(run_id, False): json, (run_id, True): html.encode()}

    def load(self, run_id: str, *, html: bool) -> bytes | None:
        """See `Reports.load`."""
        return self.saved.get((run_id, html))


@dataclass
class MemoryCloud:
    """What Azure ML knows, as the five ports that face it.

    Attributes:
        slow: Whether operations stay pending until `settle`.
        hidden: Whether jobs are not to be seen yet, though they are there.
        faults: Errors to raise, each once, by the name of the call that meets it.
        begun: Every call that created or removed something, in order.
        answers: What deployments reply to scoring.
    """

    slow: bool = False
    hidden: bool = False
    month: str = "2026-05"
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    begun: list[tuple[str, str]] = field(default_factory=list)
    computes: dict[str, SeenCompute] = field(default_factory=dict)
    datastores: int = 0
    jobs: dict[str, SeenJob] = field(default_factory=dict)
    models: dict[str, ModelFacts] = field(default_factory=dict)
    logged: Metrics = LOGGED
    seen: dict[str, SeenEndpoint] = field(default_factory=dict)
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    answers: Callable[[Mapping[str, Any]], Any] = lambda _payload: {"output": "Hello!"}
    scored: list[tuple[ScoringTarget, Mapping[str, Any], str | None]] = field(default_factory=list)

    def base_model(self, name: str) -> BaseModel:
        """See `Registry.base_model`."""
        self._meet("base_model")
        bare, _, version = name.partition(":")
        try:
            body = model_body(self.month, bare)
        except KeyError as fault:
            raise InvalidRunError(f"registry azureml has no model {bare}", code="ModelNotFound") from fault
        hidden = body["properties"]["isArchived"] and not version
        if hidden or version not in ("", body["name"]):
            raise InvalidRunError(f"registry azureml has no model {name}", code="ModelNotFound")
        return parse_base_model(bare, body["name"], body)

    def component(self, name: str) -> Component:
        """See `Registry.component`."""
        self._meet("component")
        if name != COMPONENT["name"]:
            raise InvalidRunError(f"registry azureml has no component {name}", code="ComponentNotFound")
        return parse_component(component_body())

    def compute(self, name: str) -> SeenCompute | None:
        """See `Workspace.compute`."""
        self._meet("compute")
        return self.computes.get(name)

    def gpus_of(self, size: str) -> int | None:
        """See `Workspace.gpus_of`."""
        self._meet("gpus_of")
        return SIZES.get(size.lower())

    def create_compute(self, name: str, size: str, *, max_nodes: int) -> None:
        """See `Workspace.create_compute`."""
        self._begin("create_compute", name)
        assert max_nodes > 0
        self.computes.setdefault(name, SeenCompute(self._state, size))

    def ensure_datastore(self) -> None:
        """See `Workspace.ensure_datastore`."""
        self._meet("ensure_datastore")
        self.datastores = 1

    def submit(self, run: Run, plan: TrainingPlan) -> None:
        """See `Training.submit`."""
        self._begin("submit", run.run_id)
        assert plan.component_version
        self.jobs.setdefault(run.run_id, SeenJob("Running" if self.slow else "Completed"))

    def job(self, name: str) -> SeenJob | None:
        """See `Training.job`."""
        self._meet("job")
        return None if self.hidden else self.jobs.get(name)

    def cancel(self, name: str) -> None:
        """See `Training.cancel`."""
        self._begin("cancel", name)
        job = self.jobs.get(name)
        if job is not None and not job.state.over:
            self.jobs[name] = SeenJob("CancelRequested" if self.slow else "Canceled")

    def register(self, run: Run, plan: TrainingPlan) -> ModelFacts:
        """See `Training.register`."""
        self._begin("register", run.run_id)
        name = model_name(plan.base_model_name, run.dataset)
        facts = ModelFacts(name=name, version=run.run_id, id=f"/models/{name}/versions/{run.run_id}")
        return self.models.setdefault(run.run_id, facts)

    def read(self, job: str) -> Metrics:
        """See `MetricsReader.read`."""
        self._meet("read")
        assert job in self.jobs
        return self.logged

    def endpoint(self, name: str) -> SeenEndpoint | None:
        """See `Endpoints.endpoint`."""
        self._meet("endpoint")
        return self.seen.get(name)

    def create(self, name: str, *, auth_mode: str, tags: Mapping[str, str]) -> None:
        """See `Endpoints.create`."""
        self._begin("create", name)
        assert auth_mode in {"aad_token", "key"}
        self.seen.setdefault(name, SeenEndpoint(self._state, f"https://{name}/score", {}))
        self.tags[name] = tags

    def deploy(self, name: str, *, model_id: str, instance_type: str, instance_count: int) -> None:
        """See `Endpoints.deploy`."""
        self._begin("deploy", name)
        assert model_id
        assert instance_type
        assert instance_count
        if self.seen[name].deployment is None:
            self.seen[name] = self.seen[name]._replace(deployment=SeenDeployment(self._state))

    def route_traffic(self, name: str) -> None:
        """See `Endpoints.route_traffic`."""
        self._begin("route_traffic", name)
        if name in self.seen:
            self.seen[name] = self.seen[name]._replace(traffic={"main": 100}, state=self._state)

    def delete(self, name: str) -> None:
        """See `Endpoints.delete`."""
        self._begin("delete", name)
        if self.slow and name in self.seen:
            self.seen[name] = self.seen[name]._replace(state=Provisioning.GOING, deployment=None)
        else:
            self.seen.pop(name, None)

    def tagged_as_ours(self) -> Iterable[tuple[str, str]]:
        """See `Endpoints.tagged_as_ours`."""
        self._meet("tagged_as_ours")
        return [(name, self.tags[name][RUN_TAG]) for name in self.seen if RUN_TAG in self.tags.get(name, {})]

    def score(self, target: ScoringTarget, payload: Mapping[str, Any], *, deployment: str | None) -> Any:
        """See `Scoring.score`."""
        self._meet("score")
        self.scored.append((target, payload, deployment))
        return self.answers(payload)

    async def score_async(self, target: ScoringTarget, payload: Mapping[str, Any]) -> Any:
        """See `Scoring.score_async`."""
        return self.score(target, payload, deployment=None)

    def settle(self) -> None:
        """Finish every pending operation; jobs complete, what is going is gone."""
        self.computes = {name: one._replace(state=Provisioning.READY) for name, one in self.computes.items()}
        ended = {"Running": "Completed", "CancelRequested": "Canceled"}
        self.jobs = {name: SeenJob(ended.get(job.status, job.status)) for name, job in self.jobs.items()}
        self.seen = {
            name: one._replace(
                state=Provisioning.READY,
                deployment=one.deployment and SeenDeployment(Provisioning.READY),
            )
            for name, one in self.seen.items()
            if one.state is not Provisioning.GOING
        }

    @property
    def _state(self) -> Provisioning:
        return Provisioning.PENDING if self.slow else Provisioning.READY

    def _begin(self, call: str, name: str) -> None:
        self._meet(call)
        self.begun.append((call, name))

    def _meet(self, call: str) -> None:
        if self.faults.get(call):
            raise self.faults[call].pop(0)


@dataclass
class MemoryNews:
    """The queue of news, and the receiver at its other end.

    Attributes:
        waiting: What was put down, and the delay it was put down with.
        taken: Bodies and headers that the receiver took.
        faults: What the next calls meet, by name.
    """

    waiting: list[tuple[Notice, timedelta]] = field(default_factory=list)
    taken: list[tuple[bytes, Mapping[str, str]]] = field(default_factory=list)
    faults: dict[str, list[FinetuneError]] = field(default_factory=dict)

    def put_down(self, notice: Notice, *, delay: timedelta) -> None:
        """See `News.put_down`."""
        self._meet("put_down")
        self.waiting.append((notice, delay))

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Webhook.post`."""
        self._meet("post")
        self.taken.append((body, headers))

    def _meet(self, call: str) -> None:
        if self.faults.get(call):
            raise self.faults[call].pop(0)


@dataclass
class World:
    """All fakes together, and the clock."""

    runs: MemoryRuns = field(default_factory=MemoryRuns)
    claims: MemoryClaims = field(default_factory=MemoryClaims)
    uploads: MemoryUploads = field(default_factory=MemoryUploads)
    datasets: MemoryDatasets = field(default_factory=MemoryDatasets)
    reports: MemoryReports = field(default_factory=MemoryReports)
    cloud: MemoryCloud = field(default_factory=MemoryCloud)
    news: MemoryNews = field(default_factory=MemoryNews)
    now: datetime = NOW

    @property
    def services(self) -> Services:
        """The fakes as handlers take them."""
        return Services(
            runs=self.runs,
            claims=self.claims,
            uploads=self.uploads,
            datasets=self.datasets,
            reports=self.reports,
            registry=self.cloud,
            workspace=self.cloud,
            training=self.cloud,
            metrics=self.cloud,
            endpoints=self.cloud,
            scoring=self.cloud,
            news=self.news,
            webhook=self.news,
            telemetry=OpenTelemetry(),
            now=lambda: self.now,
            chance=lambda: 0.0,
        )

    def busy(self, call: str, times: int = 1) -> None:
        """Let the next calls of that name meet a service that is busy."""
        self.cloud.faults[call] = [TransientServiceError("busy", code="Busy") for _ in range(times)]
