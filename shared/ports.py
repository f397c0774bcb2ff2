"""Protocols for storage, Azure ML and other services. Adapters implement them; unit tests use fakes.

Errors are those of `shared.domain.errors`: TransientServiceError where trying again may help,
ServiceRefusedError where it will not. Times are UTC throughout.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from shared.domain.dataset import Sink, Split
from shared.domain.run.cost import Prices
from shared.domain.run.current_model import CurrentModel, NameMeaning
from shared.domain.run.ignored import IgnoredUpload
from shared.domain.run.index import IndexEntry
from shared.domain.run.job_time import JobTime
from shared.domain.run.notifications import IgnoredNotification, Notification
from shared.domain.run.observation import ComputeStatus, EndpointStatus, JobStatus
from shared.domain.run.parts import Metrics, ModelRecord, SourceFile, TrainingPlan
from shared.domain.run.progress import TrainingReading
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import Reservation, SlotKind
from shared.domain.run.stages import Stage
from shared.domain.run.uploads import UploadCheck, UploadedBlob
from shared.domain.serving.chat import Upstream
from shared.domain.serving.deployment import DEPLOYMENT, Deployment, ServingEnvironment
from shared.domain.serving.record import Serving, StrategyName
from shared.domain.training.base_model import BaseModel
from shared.domain.training.capacity import Quota, VmSize
from shared.domain.training.component import Component


class StoredRun(NamedTuple):
    """A record, the ETag under which it was read, and why it is suspended, or None."""

    run: Run
    etag: str
    suspended: str | None = None


class RunPage(NamedTuple):
    """Some index entries and where the next ones begin, or None at the end."""

    entries: tuple[IndexEntry, ...]
    next: str | None


class SlotHolders(NamedTuple):
    """The runs listed as holding a slot, and the ETag of that list; None while there is no list."""

    runs: frozenset[str]
    etag: str | None


class RunStore(Protocol):
    """Run records: one blob each, every write conditional."""

    def create(self, run: Run) -> bool:
        """Store a new record; False if one of that name is there already."""

    def load(self, run_id: str) -> StoredRun:
        """Read a record. Raises UnknownRunError, CorruptRunError."""

    def replace(self, run: Run, etag: str) -> str | None:
        """Write over the version `etag`; the new ETag, or None if that version is no longer there."""

    def entries(self, *, max_age: timedelta = timedelta()) -> Sequence[IndexEntry]:
        """Every run, from one listing of 250 a page, without reading a record.

        With `max_age`, one that this process began so long ago at most will do.
        """

    def page(self, *, limit: int, cursor: str | None) -> RunPage:
        """A page of the index in order of run id. Raises RequestError for a cursor that is not ours."""

    def suspend(self, run_id: str, reason: str, *, until: datetime) -> None:
        """Have the timer leave a run alone until then, or until its record is written; also a corrupt one.

        A run that a newer version of the app wrote is left as it is.
        """

    def resume(self, run_id: str) -> bool:
        """Undo `suspend`; False if the run was not suspended. Raises UnknownRunError."""


class RunLock(Protocol):
    """One worker at a time advances a run."""

    def acquire(self, run_id: str) -> AbstractContextManager[None]:
        """Lock the run while the context lasts. Raises RunBusyError if another worker has it locked."""

    def was_locked(self, run_id: str) -> bool:
        """Whether a run of that name was ever locked: proof that it was this app's, without its record."""


class ContentIndex(Protocol):
    """Which run trained which content: digest to run id."""

    def claim(self, digest: str, run_id: str) -> str:
        """Enter a run unless there is an entry; returns the run that is entered: `run_id`, or another."""

    def take_over(self, digest: str, run_id: str, *, previous: str) -> bool:
        """Replace the entry of a run that failed; False if another run has replaced it already."""


class Slots(Protocol):
    """The runs that hold a concurrency slot, or a share of the month's budget."""

    def holders(self, kind: SlotKind | Reservation) -> SlotHolders:
        """The list as last written."""

    def replace(self, kind: SlotKind | Reservation, runs: Iterable[str], etag: str | None) -> bool:
        """Replace the list that was read under `etag`; False if it has changed since."""


class Uploads(Protocol):
    """The container `uploads`, read only."""

    def find(self, path: str) -> UploadedBlob | None:
        """The blob as it is now, or None."""

    def folder(self, folder: str) -> Iterator[UploadedBlob]:
        """The blobs directly in a folder, whose name ends with a slash, in order of their paths."""

    def every(self, *, unlisted: list[str]) -> Iterator[UploadedBlob]:
        """Every blob in order of its path, from one listing of 200 a page; no directories.

        Where the service fails to list some, `unlisted` is appended the prefixes of those that are left out.
        """

    def read(self, file: SourceFile, offset: int = 0) -> Iterator[bytes]:
        """Stream that very version from a byte on. Raises UploadReplacedError once it is no longer there."""

    def read_small(self, file: SourceFile, limit: int) -> bytes:
        """At most `limit` + 1 bytes of that very version. Raises UploadReplacedError."""


class UploadWriter(Protocol):
    """The container `uploads` as the app writes it for a caller."""

    def stage(self, path: str, block: str, data: bytes) -> None:
        """Keep a part of a file, invisibly, over one of that name; the names of a file's have one length."""

    def commit(self, path: str, blocks: Sequence[str]) -> str:
        """Make parts a file, over one of that name; returns its ETag. Raises RequestError if one lacks."""

    def write(self, path: str, content: bytes) -> None:
        """Write a small file, over whatever is there."""

    def remove(self, path: str) -> None:
        """Delete a file, if it is there."""


class UploadChecks(Protocol):
    """The queue of uploads to look at again."""

    def enqueue(self, check: UploadCheck, *, delay: timedelta) -> None:
        """Queue a check that becomes visible after `delay`."""


class IgnoredUploads(Protocol):
    """Which uploads open no run."""

    def add(self, upload: IgnoredUpload) -> None:
        """Keep an entry; one of the same id stays as it is."""

    def entries(self) -> Iterator[IgnoredUpload]:
        """All of them."""

    def remove(self, id: str) -> None:
        """Forget an entry, if it is there."""


class Snapshot(Protocol):
    """A snapshot being written."""

    @property
    def sinks(self) -> Mapping[Split, Sink]:
        """Where the bytes of each split go."""

    def state(self) -> bytes:
        """Wait until all that was written is kept; returns what another process needs to go on."""

    def commit(self, splits: Iterable[Split]) -> None:
        """Make these splits' files appear, replacing earlier ones."""


class Datasets(Protocol):
    """Snapshots, one folder a run."""

    def open_snapshot(self, run_id: str, state: bytes = b"") -> AbstractContextManager[Snapshot]:
        """Begin a run's snapshot, or go on from a `Snapshot.state`; what is not committed never appears."""

    def save_checkpoint(self, run_id: str, data: bytes) -> None:
        """Keep how far a run's validation is, over what was kept before."""

    def save_finetune_config(self, run_id: str, data: bytes) -> str:
        """Store a run's fine-tune configuration over an earlier one; returns where training reads it."""

    def load_checkpoint(self, run_id: str) -> bytes | None:
        """What was kept last, or None."""

    def delete_checkpoint(self, run_id: str) -> None:
        """Forget what was kept, if anything."""

    def uri(self, run_id: str, split: Split) -> str:
        """Where training reads a split: an `azureml://datastores/…` URI."""


class Reports(Protocol):
    """Validation reports, as JSON and as a page."""

    def save(self, run_id: str, *, json: bytes, html: str) -> None:
        """Store both forms of a report, replacing earlier ones."""

    def load(self, run_id: str, *, html: bool) -> bytes | None:
        """One form of a report, or None if there is none."""


class StoredEvaluation(NamedTuple):
    """The rows of an evaluation as stored, and their ETag."""

    body: bytes
    etag: str


class Evaluations(Protocol):
    """Test rows and what models answered, one file of JSON Lines a run."""

    def load(self, run_id: str) -> StoredEvaluation | None:
        """What is stored, or None."""

    def save(self, run_id: str, body: bytes, etag: str | None) -> bool:
        """Store over the version `etag`, or anew for None; False if another version is there."""


class StoredCurrent(NamedTuple):
    """The history of a dataset's name, and the ETag under which it was read."""

    model: CurrentModel
    etag: str


class CurrentModels(Protocol):
    """What the names of datasets mean."""

    def load(self, dataset: str) -> StoredCurrent | None:
        """A dataset's history, or None if no candidate was ever decided upon. Raises CorruptRunError."""

    def replace(self, model: CurrentModel, etag: str | None) -> bool:
        """Write over the version `etag`, or anew for None; False if another version is there."""

    def names(self) -> Mapping[str, NameMeaning]:
        """What the name of every dataset that has a history means, from one listing."""


class Registry(Protocol):
    """The model and component registry."""

    def base_model(self, name: str) -> BaseModel:
        """Find a model by a reference, see `read_reference`. Raises AbsentError if it does not exist."""

    def component(self, name: str) -> Component:
        """The newest version of a component. Raises AbsentError if it does not exist."""


class Workspace(Protocol):
    """The Azure ML workspace itself, its compute and its storage."""

    def id(self) -> str:
        """The workspace's immutable id, which no other workspace ever has, whatever its name."""

    def compute(self, name: str) -> ComputeStatus | None:
        """A cluster, or None."""

    def vm_sizes(self) -> Mapping[str, VmSize]:
        """The VM sizes of the region, by name in lower case."""

    def quotas(self) -> Mapping[str, Quota]:
        """Of each VM family, by name in lower case. Raises ServiceRefusedError if they may not be read."""

    def create_compute(self, name: str, size: str, *, max_nodes: int) -> None:
        """Start creating a cluster that scales to zero."""

    def delete_compute(self, name: str) -> None:
        """Start deleting a cluster; absence is success."""

    def ensure_datastore(self) -> None:
        """Make sure that training can reach the snapshot."""


class PriceList(Protocol):
    """What VM sizes cost."""

    def of(self, sizes: Iterable[str]) -> Prices:
        """Prices per hour of these sizes, each named as `Workspace.vm_sizes` does; unknown ones are left out.

        Raises TransientServiceError.
        """


class Training(Protocol):
    """Training jobs and the models that come of them."""

    def submit(self, run: Run, plan: TrainingPlan, *, finetune_config: str | None) -> None:
        """Submit the job named like the run. A job of that name that is there already is left as it is.

        `finetune_config` is where training reads its fine-tune configuration, if it has one.
        """

    def job(self, name: str, run_id: str) -> JobStatus | None:
        """A job, or None; `foreign` unless it carries the run's tag."""

    def cancel(self, name: str) -> None:
        """Start canceling a job; one that is over or gone is left alone."""

    def register(self, run: Run, plan: TrainingPlan) -> ModelRecord:
        """Register the trained model; a version that is there already is returned as it is."""


class MetricsReader(Protocol):
    """What training jobs logged."""

    def read(self, job: str) -> Metrics:
        """Everything that the job and its children logged."""

    def read_training(self, job: str) -> TrainingReading:
        """How far the training of a job is that is still at work."""


class Endpoints(Protocol):
    """Online endpoints. Operations are started, never waited for."""

    def endpoint(self, name: str, run_id: str, *, base: bool = False) -> EndpointStatus | None:
        """An endpoint with its deployment, or None; `foreign` unless it carries the run's tag and ours.

        With `base`, the base model's deployment is looked for, too.
        """

    def create(self, name: str, *, auth_mode: str, tags: Mapping[str, str]) -> None:
        """Start creating an endpoint."""

    def ensure_environment(self, environment: ServingEnvironment) -> str:
        """Create that version of a workspace environment unless it is there; returns its id."""

    def deploy(
        self,
        name: str,
        deployment: Deployment,
        *,
        environment_id: str | None,
        model_id: str,
        instance_type: str,
        instance_count: int,
        slot: str = DEPLOYMENT,
    ) -> None:
        """Start creating a deployment of the endpoint, called `slot`."""

    def delete_deployment(self, name: str, *, slot: str = DEPLOYMENT) -> None:
        """Start deleting a deployment of the endpoint; one that is gone is left alone."""

    def route_traffic(self, name: str) -> None:
        """Start sending all traffic to the deployment."""

    def delete(self, name: str) -> None:
        """Start deleting an endpoint and all in it; one that is gone is left alone."""

    def list_owned(self) -> Iterable[tuple[str, str]]:
        """Name and run id of every endpoint of the workspace that carries this app's tag."""


class ScoringTarget(NamedTuple):
    """Where and how to score.

    Attributes:
        name: Of the endpoint.
        uri: The endpoint's https address; a request's path takes the place of its path.
        auth_mode: How to sign in: `aad_token` or `key`.
        serving: How the deployment serves, from the run's record.
    """

    name: str
    uri: str
    auth_mode: str
    serving: Serving


class Scoring(Protocol):
    """Endpoints' scoring URIs."""

    def score(self, target: ScoringTarget, request: Upstream, *, deployment: str | None) -> Any:
        """Score once, on a deployment or as traffic decides; the decoded answer. Raises ScoringError."""

    async def score_async(self, target: ScoringTarget, request: Upstream) -> Any:
        """Like `score`, as traffic decides, for many requests at once."""

    def stream(self, target: ScoringTarget, request: Upstream) -> AsyncGenerator[bytes, None]:
        """An answer's bytes as they come; closing the generator ends the request. Raises ScoringError."""


class JobTimes(Protocol):
    """How long the training jobs of earlier runs took."""

    def recall(self, key: str) -> tuple[JobTime, ...]:
        """The newest times under a `time_key`, oldest first."""

    def remember(self, key: str, job: JobTime) -> None:
        """Keep a time, instead of an earlier one of the same run."""


class ServingMemory(Protocol):
    """Which strategy served a base model last."""

    def recall(self, key: str) -> StrategyName | None:
        """The strategy that worked, or None if nothing is known."""

    def remember(self, key: str, strategy: StrategyName) -> None:
        """Keep that a strategy worked; of two writers at once, either wins."""


class Notifications(Protocol):
    """The queue of what is to be delivered to the webhook."""

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """Queue a notification that becomes visible after `delay`."""


class AdvanceQueue(Protocol):
    """The queues of runs to advance."""

    def enqueue(self, message: str, *, delay: timedelta, ahead: bool = False) -> None:
        """Queue a message that becomes visible after `delay`; with `ahead`, no routine look is before it."""


class Webhook(Protocol):
    """The receiver of notifications."""

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send once. Raises TransientServiceError, or ServiceRefusedError if retrying cannot help."""


class BegunTrace(NamedTuple):
    """The trace of a run that is being opened.

    Attributes:
        trace: What its record keeps.
        keep: To be called once the record is there: another delivery of the event may have opened the run.
    """

    trace: str | None
    keep: Callable[[], None]


class Telemetry(Protocol):
    """What operators see of runs. Never training text, prompts, keys or tokens."""

    def begin(self, run_id: str) -> BegunTrace:
        """Begin the trace of a run, which is to be kept on its record."""

    def span(self, name: str, run: Run) -> AbstractContextManager[None]:
        """A piece of work on a run, in the run's own trace."""

    def entered(self, stage: Stage, left: Stage, seconds: float) -> None:
        """A run entered a stage after so long in the one before."""

    def met_fault(self, stage: Stage, code: str, *, retried: bool) -> None:
        """A run met a fault."""

    def checked(self, *, rows: int, size: int, seconds: float) -> None:
        """Dataset validation read so many rows and uploaded bytes in so many seconds."""

    def counted(self, runs: Mapping[str, int]) -> None:
        """There are so many runs in each stage."""


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
