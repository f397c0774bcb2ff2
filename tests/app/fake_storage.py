"""What storage keeps, in memory: records, coordination, uploads, snapshot and reports."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.domain.dataset import Split
from shared.domain.errors import (
    RequestError,
    RunBusyError,
    UnknownRunError,
    UploadReplacedError,
)
from shared.domain.run.current_model import CurrentModel, NameMeaning
from shared.domain.run.ignored import IgnoredUpload
from shared.domain.run.index import IndexEntry
from shared.domain.run.index_metadata import from_metadata, to_metadata
from shared.domain.run.job_time import KEPT, JobTime
from shared.domain.run.names import is_run_id
from shared.domain.run.parts import SourceFile
from shared.domain.run.record import read_record
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import Reservation, SlotKind
from shared.domain.run.uploads import UploadedBlob
from shared.domain.serving.record import StrategyName
from shared.ports import RunPage, SlotHolders, StoredCurrent, StoredEvaluation, StoredRun

LONG_AGO = datetime(2026, 2, 28, tzinfo=UTC)
"""When uploads were written, unless a test says otherwise: the day before the tests' own."""


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
        return StoredRun(run, blob.etag, from_metadata(run_id, blob.metadata).suspended)

    def replace(self, run: Run, etag: str) -> str | None:
        """See `RunStore.replace`."""
        self.before_write()
        with self._lock:
            if run.run_id not in self.blobs or self.blobs[run.run_id].etag != etag:
                return None
            self.blobs[run.run_id] = self._blob(run)
            return self.blobs[run.run_id].etag

    def entries(self, *, max_age: timedelta = timedelta()) -> Sequence[IndexEntry]:
        """See `RunStore.entries`; nothing is kept."""
        return [from_metadata(run_id, blob.metadata) for run_id, blob in sorted(self.blobs.items())]

    def page(self, *, limit: int, cursor: str | None) -> RunPage:
        """See `RunStore.page`."""
        if cursor is not None and not cursor.startswith("after "):
            raise RequestError(
                400,
                "the cursor is not valid for this list; start again without a cursor",
                code="InvalidCursor",
            )
        after = (cursor or "").removeprefix("after ")
        entries = [entry for entry in self.entries() if entry.run_id > after]
        more = len(entries) > limit
        return RunPage(tuple(entries[:limit]), f"after {entries[limit - 1].run_id}" if more else None)

    def suspend(self, run_id: str, reason: str, *, until: datetime) -> None:
        """See `RunStore.suspend`."""
        self._mark(run_id, {"suspended": reason, "suspended_until": until.isoformat()})

    def resume(self, run_id: str) -> bool:
        """See `RunStore.resume`."""
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

    def _mark(self, run_id: str, suspended: Mapping[str, str]) -> bool:
        blob = self._find(run_id)
        if from_metadata(run_id, blob.metadata).newer:
            return False
        was_suspended = blob.metadata.pop("suspended", None) is not None
        blob.metadata.pop("suspended_until", None)
        if suspended or was_suspended:
            blob.metadata |= suspended
            blob.etag = f'"{next(self._versions)}"'
        return was_suspended


class MemoryRunLock:
    """Locked runs in a set."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.seen: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def acquire(self, run_id: str) -> Iterator[None]:
        """See `RunLock.acquire`."""
        with self._lock:
            if run_id in self.held:
                raise RunBusyError(f"{run_id} is being advanced by another worker")
            self.held.add(run_id)
            self.seen.add(run_id)
        try:
            yield
        finally:
            self.held.discard(run_id)

    def was_locked(self, run_id: str) -> bool:
        """See `RunLock.was_locked`."""
        return run_id in self.seen


class MemoryContentIndex:
    """Run ids by digest."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}
        self._lock = threading.Lock()

    def claim(self, digest: str, run_id: str) -> str:
        """See `ContentIndex.claim`."""
        with self._lock:
            return self.content.setdefault(digest, run_id)

    def take_over(self, digest: str, run_id: str, *, previous: str) -> bool:
        """See `ContentIndex.take_over`."""
        with self._lock:
            if self.content.get(digest) != previous:
                return False
            self.content[digest] = run_id
            return True


class MemorySlots:
    """Holders by kind of slot."""

    def __init__(self) -> None:
        self.listed: dict[SlotKind | Reservation, SlotHolders] = {}
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    def holders(self, kind: SlotKind | Reservation) -> SlotHolders:
        """See `Slots.holders`."""
        return self.listed.get(kind, SlotHolders(frozenset(), None))

    def replace(self, kind: SlotKind | Reservation, runs: Iterable[str], etag: str | None) -> bool:
        """See `Slots.replace`."""
        with self._lock:
            if self.holders(kind).etag != etag:
                return False
            self.listed[kind] = SlotHolders(frozenset(runs), f'"{next(self._versions)}"')
            return True


class MemoryUploads:
    """Uploaded files by path."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.modified = LONG_AGO
        self.unlistable: list[str] = []
        self.parts: dict[tuple[str, str], bytes] = {}
        self._versions = itertools.count(1)

    def put(self, path: str, body: bytes, **facts: Any) -> None:
        """Upload a file, over whatever was there; `facts` are those of `UploadedBlob` that differ."""
        self.files[path] = (f'"0x{next(self._versions)}"', body)
        self.facts[path] = {"modified": self.modified, "md5": hashlib.md5(body).hexdigest(), **facts}

    def find(self, path: str) -> UploadedBlob | None:
        """See `Uploads.find`."""
        if path not in self.files:
            return None
        etag, body = self.files[path]
        return UploadedBlob(path=path, etag=etag, size=len(body), **self.facts[path])

    def folder(self, folder: str) -> Iterator[UploadedBlob]:
        """See `Uploads.folder`."""
        return (blob for blob in self.every(unlisted=[]) if blob.path.rpartition("/")[0] + "/" == folder)

    def every(self, *, unlisted: list[str]) -> Iterator[UploadedBlob]:
        """See `Uploads.every`; `unlistable` are the prefixes that cannot be listed."""
        unlisted += self.unlistable
        listed = (path for path in sorted(self.files) if not path.startswith(tuple(self.unlistable)))
        return (found for path in listed if (found := self.find(path)) is not None)

    def read(self, file: SourceFile, offset: int = 0) -> Iterator[bytes]:
        """See `Uploads.read`."""
        body = self._body(file)[offset:]
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


class MemoryUploadWriter:
    """Writes uploaded files; parts are kept by file and name."""

    def __init__(self, uploads: MemoryUploads) -> None:
        self._uploads = uploads
        self._parts = uploads.parts

    def stage(self, path: str, block: str, data: bytes) -> None:
        """See `UploadWriter.stage`."""
        self._parts[path, block] = data

    def commit(self, path: str, blocks: Sequence[str]) -> str:
        """See `UploadWriter.commit`."""
        if any((path, block) not in self._parts for block in blocks):
            raise RequestError(409, f"{path} lacks a part", code="PartMissing")
        self.write(path, b"".join(self._parts[path, block] for block in blocks))
        return self._uploads.files[path][0]

    def write(self, path: str, content: bytes) -> None:
        """See `UploadWriter.write`."""
        self._uploads.put(path, content)

    def remove(self, path: str) -> None:
        """See `UploadWriter.remove`."""
        self._uploads.files.pop(path, None)


class MemoryIgnoredUploads:
    """Entries by id."""

    def __init__(self) -> None:
        self.kept: dict[str, IgnoredUpload] = {}

    def add(self, upload: IgnoredUpload) -> None:
        """See `IgnoredUploads.add`."""
        self.kept.setdefault(upload.id, upload)

    def entries(self) -> Iterator[IgnoredUpload]:
        """See `IgnoredUploads.entries`."""
        return iter(list(self.kept.values()))

    def remove(self, id: str) -> None:
        """See `IgnoredUploads.remove`."""
        self.kept.pop(id, None)


class MemorySink:
    """Keeps the pieces of one split."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def write(self, piece: bytes) -> None:
        """See `Sink.write`."""
        self.pieces.append(piece)

    def write_first(self, piece: bytes) -> None:
        """See `Sink.write_first`."""
        self.pieces.insert(0, piece)


class MemorySnapshot:
    """Three files being written; nothing of them is to be seen before `commit`."""

    def __init__(self, run_id: str, files: dict[str, bytes], state: bytes) -> None:
        self._run_id = run_id
        self._files = files
        written = msgspec.msgpack.decode(state, type=dict[Split, list[bytes]]) if state else {}
        self._written = {split: MemorySink(written.get(split, [])) for split in Split}

    @property
    def sinks(self) -> Mapping[Split, MemorySink]:
        """See `Snapshot.sinks`."""
        return self._written

    def state(self) -> bytes:
        """See `Snapshot.state`."""
        return msgspec.msgpack.encode({split: sink.pieces for split, sink in self._written.items()})

    def commit(self, splits: Iterable[Split]) -> None:
        """See `Snapshot.commit`."""
        for split in splits:
            self._files[f"{self._run_id}/{split}.jsonl"] = b"".join(self._written[split].pieces)


class MemoryDatasets:
    """Snapshots by path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.checkpoints: dict[str, bytes] = {}

    @contextmanager
    def open_snapshot(self, run_id: str, state: bytes = b"") -> Iterator[MemorySnapshot]:
        """See `Datasets.open_snapshot`."""
        yield MemorySnapshot(run_id, self.files, state)

    def save_finetune_config(self, run_id: str, data: bytes) -> str:
        """See `Datasets.save_finetune_config`."""
        path = f"{run_id}/finetune_config.json"
        self.files[path] = data
        return f"azureml://datastores/finetune_datasets/paths/{path}"

    def save_checkpoint(self, run_id: str, data: bytes) -> None:
        """See `Datasets.save_checkpoint`."""
        self.checkpoints[run_id] = data

    def load_checkpoint(self, run_id: str) -> bytes | None:
        """See `Datasets.load_checkpoint`."""
        return self.checkpoints.get(run_id)

    def delete_checkpoint(self, run_id: str) -> None:
        """See `Datasets.delete_checkpoint`."""
        self.checkpoints.pop(run_id, None)

    def uri(self, run_id: str, split: Split) -> str:
        """See `Datasets.uri`."""
        return f"azureml://datastores/finetune_datasets/paths/{run_id}/{split}.jsonl"


class MemoryJobTimes:
    """Times by key."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[JobTime, ...]] = {}

    def recall(self, key: str) -> tuple[JobTime, ...]:
        """See `JobTimes.recall`."""
        return self.kept.get(key, ())

    def remember(self, key: str, job: JobTime) -> None:
        """See `JobTimes.remember`."""
        others = (one for one in self.recall(key) if one.run_id != job.run_id)
        self.kept[key] = (*others, job)[-KEPT:]


class MemoryServingMemory:
    """Strategies by key."""

    def __init__(self) -> None:
        self.worked: dict[str, StrategyName] = {}

    def recall(self, key: str) -> StrategyName | None:
        """See `ServingMemory.recall`."""
        return self.worked.get(key)

    def remember(self, key: str, strategy: StrategyName) -> None:
        """See `ServingMemory.remember`."""
        self.worked[key] = strategy


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


class MemoryEvaluations:
    """Evaluations by run."""

    def __init__(self) -> None:
        self.saved: dict[str, StoredEvaluation] = {}
        self._versions = itertools.count(1)

    def load(self, run_id: str) -> StoredEvaluation | None:
        """See `Evaluations.load`."""
        return self.saved.get(run_id)

    def save(self, run_id: str, body: bytes, etag: str | None) -> bool:
        """See `Evaluations.save`."""
        found = self.saved.get(run_id)
        if (found.etag if found else None) != etag:
            return False
        self.saved[run_id] = StoredEvaluation(body, f'"{next(self._versions)}"')
        return True


class MemoryCurrentModels:
    """Histories by dataset."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredCurrent] = {}
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    def load(self, dataset: str) -> StoredCurrent | None:
        """See `CurrentModels.load`."""
        return self.kept.get(dataset)

    def replace(self, model: CurrentModel, etag: str | None) -> bool:
        """See `CurrentModels.replace`."""
        with self._lock:
            found = self.kept.get(model.dataset)
            if (found.etag if found else None) != etag:
                return False
            self.kept[model.dataset] = StoredCurrent(model, f'"{next(self._versions)}"')
            return True

    def names(self) -> Mapping[str, NameMeaning]:
        """See `CurrentModels.names`."""
        return {name: one.model.meaning for name, one in self.kept.items()}
