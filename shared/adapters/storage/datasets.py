"""Uploads as streams of one fixed version, and the snapshot that training reads."""

from __future__ import annotations

import base64
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, BlobProperties, BlobServiceClient, ContentSettings

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import DATASETS, UPLOADS, read_bounded, storage_code
from shared.adapters.storage.partial_listing import list_around_faults
from shared.domain.dataset import Sink, Split
from shared.domain.errors import InvalidRunError, UploadReplacedError
from shared.domain.run.parts import SourceFile
from shared.domain.run.uploads import BlobKind, UploadedBlob

BLOCK = 4 * 1024 * 1024
"""Bytes of a staged block: small enough to keep memory flat, and 50,000 of them make 195 GiB."""

CHECKPOINT_LIMIT_BYTES = 64 * 1024 * 1024
"""The longest checkpoint that is read: the digests of rows in it take 16 MiB at most."""

LISTED_PAGE = 200
"""Uploads of one page of a listing: as many fit into the longest answer that is read, with all the metadata
that uploaders may give them (8 KiB, each character of which may take six bytes)."""

IN_FLIGHT = 3
"""Blocks of one file on their way at a time; validation goes on checking meanwhile."""

FINETUNE_CONFIG = "finetune_config.json"
_JSON_LINES = ContentSettings(content_type="application/jsonl")


class BlobUploads:
    """The `uploads` container, read only."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(UPLOADS)

    def find(self, path: str) -> UploadedBlob | None:
        """See `Uploads.find`."""
        with translated(f"looking up upload {path}"):
            try:
                seen = self._container.get_blob_client(path).get_blob_properties()
            except ResourceNotFoundError:
                return None
        return None if _is_folder(seen) else _uploaded(path, seen)

    def folder(self, folder: str) -> Iterator[UploadedBlob]:
        """See `Uploads.folder`."""
        with translated(f"listing the uploads in {folder}"):
            # What lies deeper comes as one prefix a folder.
            for seen in self._container.walk_blobs(
                folder, include=["metadata"], results_per_page=LISTED_PAGE, delimiter="/"
            ):
                if isinstance(seen, BlobProperties) and not _is_folder(seen):
                    yield _uploaded(seen.name, seen)

    def every(self, *, unlisted: list[str]) -> Iterator[UploadedBlob]:
        """See `Uploads.every`."""
        with translated("listing the uploads"):
            for seen in list_around_faults(self._container, page=LISTED_PAGE, unlisted=unlisted):
                if not _is_folder(seen):
                    yield _uploaded(seen.name, seen)

    def read(self, file: SourceFile, offset: int = 0) -> Iterator[bytes]:
        """See `Uploads.read`."""
        if 0 < file.size <= offset:
            return
        with self._version(file):
            download = self._container.get_blob_client(file.path).download_blob(
                offset=offset or None,
                length=file.size - offset if offset else None,
                etag=file.etag,
                match_condition=MatchConditions.IfNotModified,
            )
            yield from _ahead(download.chunks())

    def read_small(self, file: SourceFile, limit: int) -> bytes:
        """See `Uploads.read_small`."""
        if file.size == 0:
            return b""
        with self._version(file):
            download = self._container.get_blob_client(file.path).download_blob(
                offset=0,
                length=limit + 1,
                etag=file.etag,
                match_condition=MatchConditions.IfNotModified,
            )
            return bytes(download.readall())

    @contextmanager
    def _version(self, file: SourceFile) -> Iterator[None]:
        with translated(f"reading upload {file.path}"):
            try:
                yield
            except (ResourceModifiedError, ResourceNotFoundError) as fault:
                raise UploadReplacedError(
                    f"{file.path} was replaced or deleted while it was being read; "
                    "if there is a newer upload, it has a run of its own",
                    code="UploadReplaced",
                ) from fault
            except HttpResponseError as fault:
                if storage_code(fault) not in {"BlobArchived", "BlobBeingRehydrated"}:
                    raise
                raise InvalidRunError(
                    f"{file.path} is in the archive tier, from which nothing can be read; rehydrate it, "
                    "then upload or copy it again",
                    code="UploadArchived",
                ) from fault


def _is_folder(seen: BlobProperties) -> bool:
    """Whether this is a directory of a hierarchical namespace, which is listed as an empty blob."""
    metadata = {name.lower(): value for name, value in (seen.metadata or {}).items()}
    return metadata.get("hdi_isfolder") == "true"


def _uploaded(path: str, seen: BlobProperties) -> UploadedBlob:
    digest = seen.content_settings.content_md5
    return UploadedBlob(
        path=path,
        # A listing has ETags without their quotes.
        etag=f'"{str(seen.etag).strip(chr(34))}"',
        size=int(seen.size),
        modified=seen.last_modified,
        kind=BlobKind(str(getattr(seen.blob_type, "value", seen.blob_type))),
        md5=bytes(digest).hex() if digest else None,
        # While it is being rehydrated, the tier is the archive tier still.
        archived=str(seen.blob_tier).lower() == "archive",
    )


def _ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Fetch each piece while the one before is being worked on: one ahead, so that memory stays flat."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read ahead") as pool:
        coming = pool.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = pool.submit(next, pieces, None)
            yield piece


class BlobDatasets:
    """The `datasets` container: `<run_id>/<split>.jsonl`, and what training is told beside the rows."""

    def __init__(self, service: BlobServiceClient, datastore: str) -> None:
        self._container = service.get_container_client(DATASETS)
        self._datastore = datastore

    @contextmanager
    def open_snapshot(self, run_id: str, state: bytes = b"") -> Iterator[BlobSnapshot]:
        """See `Datasets.open_snapshot`."""
        staged = msgspec.json.decode(state or b"{}", type=dict[Split, list[str]])
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix=f"snapshot {run_id}") as pool:
            files = {
                split: _BlockFile(
                    self._container.get_blob_client(f"{run_id}/{split}.jsonl"), pool, staged.get(split, [])
                )
                for split in Split
            }
            yield BlobSnapshot(files)

    def save_finetune_config(self, run_id: str, data: bytes) -> str:
        """See `Datasets.save_finetune_config`."""
        with translated(f"storing the fine-tune configuration of {run_id}"):
            self._container.get_blob_client(f"{run_id}/{FINETUNE_CONFIG}").upload_blob(data, overwrite=True)
        return self._uri(run_id, FINETUNE_CONFIG)

    def save_checkpoint(self, run_id: str, data: bytes) -> None:
        """See `Datasets.save_checkpoint`."""
        with translated(f"keeping the checkpoint of {run_id}"):
            self._checkpoint(run_id).upload_blob(data, overwrite=True)

    def load_checkpoint(self, run_id: str) -> bytes | None:
        """See `Datasets.load_checkpoint`."""
        with translated(f"reading the checkpoint of {run_id}"):
            try:
                return read_bounded(self._checkpoint(run_id).download_blob(), CHECKPOINT_LIMIT_BYTES)
            except ResourceNotFoundError:
                return None

    def delete_checkpoint(self, run_id: str) -> None:
        """See `Datasets.delete_checkpoint`."""
        with (
            translated(f"deleting the checkpoint of {run_id}"),
            suppress(ResourceNotFoundError),
        ):
            self._checkpoint(run_id).delete_blob()

    def _checkpoint(self, run_id: str) -> BlobClient:
        return self._container.get_blob_client(f"{run_id}/validation.checkpoint")

    def uri(self, run_id: str, split: Split) -> str:
        """See `Datasets.uri`."""
        return self._uri(run_id, f"{split}.jsonl")

    def _uri(self, run_id: str, name: str) -> str:
        return f"azureml://datastores/{self._datastore}/paths/{run_id}/{name}"


class BlobSnapshot:
    """Three files being staged; uncommitted blocks are invisible, and storage drops them after a week."""

    def __init__(self, files: Mapping[Split, _BlockFile]) -> None:
        self._files = files

    @property
    def sinks(self) -> Mapping[Split, Sink]:
        """See `Snapshot.sinks`."""
        return self._files

    def state(self) -> bytes:
        """See `Snapshot.state`."""
        return msgspec.json.encode({split: file.staged() for split, file in self._files.items()})

    def commit(self, splits: Iterable[Split]) -> None:
        """See `Snapshot.commit`."""
        for split in splits:
            self._files[split].commit()


class _BlockFile:
    """One blob written block by block, a few blocks on their way at a time."""

    def __init__(self, blob: BlobClient, pool: ThreadPoolExecutor, staged: Iterable[str]) -> None:
        self._blob = blob
        self._pool = pool
        self._pieces: list[bytes] = []
        self._size = 0
        self._blocks = list(staged)
        # Another process may be staging the same blob, because it does not know yet that it was replaced.
        self._writer = secrets.token_hex(6)
        self._sending: deque[Future[None]] = deque()

    def write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= BLOCK:
            self._stage()

    def write_first(self, piece: bytes) -> None:
        self._stage()
        self.write(piece)
        self._stage()
        self._blocks.insert(0, self._blocks.pop())

    def staged(self) -> list[str]:
        self._stage()
        while self._sending:
            self._sending.popleft().result()
        return self._blocks

    def commit(self) -> None:
        blocks = [BlobBlock(block) for block in self.staged()]
        with translated(f"committing {self._blob.blob_name}"):
            self._blob.commit_block_list(blocks, content_settings=_JSON_LINES)

    def _stage(self) -> None:
        if not self._size:
            return
        while len(self._sending) >= IN_FLIGHT:
            self._sending.popleft().result()
        block = base64.b64encode(f"{self._writer}{len(self._blocks):08}".encode()).decode()
        self._blocks.append(block)
        self._sending.append(self._pool.submit(self._send, block, b"".join(self._pieces)))
        self._pieces, self._size = [], 0

    def _send(self, block_id: str, data: bytes) -> None:
        with translated(f"writing {self._blob.blob_name}"):
            self._blob.stage_block(block_id, data)
