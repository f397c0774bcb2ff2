"""Run records in blobs: one blob each, conditional writes only, the index in blob metadata."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobClient, BlobServiceClient, ContentSettings

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import RUNS, read_bounded, storage_code
from shared.adapters.storage.shared_listing import SharedListing
from shared.domain.errors import CorruptRunError, RequestError, RunChangedError, UnknownRunError
from shared.domain.run.index import IndexEntry
from shared.domain.run.index_metadata import from_metadata, to_metadata
from shared.domain.run.names import is_run_id
from shared.domain.run.record import RECORD_LIMIT_BYTES, read_record
from shared.domain.run.run import Run
from shared.ports import RunPage, StoredRun

SEAL_BYTES = 6
MARK_ATTEMPTS = 20
"""Times that a mark is set again on a record that changed meanwhile."""

LISTED_PAGE = 250
"""Runs of one page of the index: parsing one holds up all other threads, 5,000 runs for 0.1 s."""

WRITE_ID = "write"
"""Metadata that tells the writes of a record apart."""

SUSPENDED = "suspended"
SUSPENDED_UNTIL = "suspended_until"
SUSPENDED_REASON_LIMIT = 400

_JSON = ContentSettings(content_type="application/json")
_SUFFIX = ".json"


class BlobRunStore:
    """`runs/<run_id>.json`, each with its index entry as metadata."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(RUNS)
        self._listing = SharedListing(self._list)

    def create(self, run: Run) -> bool:
        """See `RunStore.create`."""
        with translated(f"creating the record of {run.run_id}"):
            try:
                self._blob(run.run_id).upload_blob(
                    msgspec.json.encode(run),
                    overwrite=False,
                    metadata=to_metadata(run),
                    content_settings=_JSON,
                )
            except ResourceExistsError:
                return False
        return True

    def load(self, run_id: str) -> StoredRun:
        """See `RunStore.load`."""
        blob = self._blob(_checked(run_id))
        with translated(f"reading the record of {run_id}"):
            try:
                download = blob.download_blob()
                body = read_bounded(download, RECORD_LIMIT_BYTES)
            except ResourceNotFoundError as fault:
                raise UnknownRunError(f"there is no run {run_id}") from fault
        if body is None:
            raise CorruptRunError(f"the record of {run_id} is over {RECORD_LIMIT_BYTES // 2**20} MiB")
        run = read_record(run_id, body)
        found = download.properties
        return StoredRun(run, str(found.etag), from_metadata(run_id, found.metadata or {}).suspended)

    def replace(self, run: Run, etag: str) -> str | None:
        """See `RunStore.replace`."""
        write_id = uuid.uuid4().hex
        with translated(f"saving the record of {run.run_id}"):
            try:
                answer = self._blob(run.run_id).upload_blob(
                    msgspec.json.encode(run),
                    overwrite=True,
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                    metadata={**to_metadata(run), WRITE_ID: write_id},
                    content_settings=_JSON,
                )
            except ResourceModifiedError as fault:
                if storage_code(fault) not in {"ConditionNotMet", ""}:
                    raise
                # A write whose answer got lost is repeated by the SDK, and loses to itself.
                try:
                    seen = self._blob(run.run_id).get_blob_properties()
                except ResourceNotFoundError:
                    return None
                return str(seen.etag) if (seen.metadata or {}).get(WRITE_ID) == write_id else None
        return str(answer["etag"])

    def entries(self, *, max_age: timedelta = timedelta()) -> Sequence[IndexEntry]:
        """See `RunStore.entries`."""
        return self._listing.get(max_age.total_seconds())

    def page(self, *, limit: int, cursor: str | None) -> RunPage:
        """See `RunStore.page`."""
        with translated("listing the runs"):
            pages = self._container.list_blobs(include=["metadata"], results_per_page=limit).by_page(
                _decode_cursor(cursor),
            )
            try:
                blobs = list(next(pages, ()))
            except HttpResponseError as fault:
                if fault.status_code == 400:
                    raise RequestError(
                        400,
                        "the cursor is not valid for this list; start again without a cursor",
                        code="InvalidCursor",
                    ) from fault
                raise
            token = getattr(pages, "continuation_token", None)
        entries = tuple(from_metadata(blob.name.removesuffix(_SUFFIX), blob.metadata or {}) for blob in blobs)
        return RunPage(entries, _encode_cursor(token) if token else None)

    def suspend(self, run_id: str, reason: str, *, until: datetime) -> None:
        """See `RunStore.suspend`."""
        shortened = quote(reason[:SUSPENDED_REASON_LIMIT], safe=" ")
        self._set_suspended(run_id, {SUSPENDED: shortened, SUSPENDED_UNTIL: until.isoformat()})

    def resume(self, run_id: str) -> bool:
        """See `RunStore.resume`."""
        return self._set_suspended(run_id, {})

    def _set_suspended(self, run_id: str, suspended: dict[str, str]) -> bool:
        blob = self._blob(_checked(run_id))
        for _ in range(MARK_ATTEMPTS):
            with translated(f"marking the record of {run_id}"):
                try:
                    seen = blob.get_blob_properties()
                    facts = seen.metadata or {}
                    if from_metadata(run_id, facts).newer:
                        return False
                    was_suspended = SUSPENDED in facts
                    if not suspended and not was_suspended:
                        return False
                    kept = {name: facts[name] for name in facts if name not in (SUSPENDED, SUSPENDED_UNTIL)}
                    blob.set_blob_metadata(
                        {**kept, **suspended},
                        etag=seen.etag,
                        match_condition=MatchConditions.IfNotModified,
                    )
                except ResourceNotFoundError as fault:
                    raise UnknownRunError(f"there is no run {run_id}") from fault
                except ResourceModifiedError:
                    continue
                return was_suspended
        raise RunChangedError(
            f"the record of {run_id} changed {MARK_ATTEMPTS} times while it was being marked"
        )

    def _list(self) -> tuple[IndexEntry, ...]:
        with translated("listing the runs"):
            return tuple(
                from_metadata(blob.name.removesuffix(_SUFFIX), blob.metadata or {})
                for blob in self._container.list_blobs(include=["metadata"], results_per_page=LISTED_PAGE)
            )

    def _blob(self, run_id: str) -> BlobClient:
        return self._container.get_blob_client(f"{run_id}{_SUFFIX}")


def _checked(run_id: str) -> str:
    """Let nothing into a blob's address that could lead out of the container."""
    if not is_run_id(run_id):
        raise UnknownRunError(f"there is no run {run_id[:64]!r}")
    return run_id


def _encode_cursor(token: str) -> str:
    marker = token.encode()
    return base64.urlsafe_b64encode(_seal(marker) + marker).decode()


def _decode_cursor(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        sealed = base64.b64decode(cursor, altchars=b"-_", validate=True)
        seal, marker = sealed[:SEAL_BYTES], sealed[SEAL_BYTES:]
        if seal != _seal(marker):
            raise ValueError("the seal is broken")
        return marker.decode()
    except ValueError as fault:
        raise RequestError(
            400, "the cursor is not valid for this list; start again without a cursor", code="InvalidCursor"
        ) from fault


def _seal(marker: bytes) -> bytes:
    """Tells our cursors from any other text: a storage service may answer a senseless marker with a 500."""
    return hashlib.sha256(marker).digest()[:SEAL_BYTES]
