"""Exclusive claims, each a blob in the `claims` container.

`run/<run_id>` is leased while a worker advances the run; `content/<digest>` names the run that trained
this content first; `place/<what>` lists the runs that have a place, one a line.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobServiceClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage import CLAIMS, storage_code
from shared.domain.errors import RunBusyError
from shared.domain.places import Place
from shared.logs import get_logger
from shared.ports import Places

LEASE_SECONDS = 60
"""The longest lease that storage grants short of an infinite one: a crash frees the run within it."""

RENEW_SECONDS = 20

_log = get_logger(__name__)


class BlobClaims:
    """Leases and write-once blobs in the `claims` container."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(CLAIMS)
        self._installation: str | None = None

    def installation(self) -> str:
        """Name this installation: made up once, and kept with its claims for as long as they are kept."""
        if self._installation is None:
            blob = self._container.get_blob_client("installation")
            with translated("naming this installation"):
                try:
                    blob.upload_blob(uuid.uuid4().hex.encode(), overwrite=False)
                except ResourceExistsError:
                    _log.debug("the installation has a name")
                self._installation = blob.download_blob().readall().decode()
        return self._installation

    @contextmanager
    def hold(self, run_id: str) -> Iterator[None]:
        """See `Claims.hold`."""
        lease = self._acquire(self._container.get_blob_client(f"run/{run_id}"), run_id)
        done = threading.Event()
        heartbeat = threading.Thread(
            target=_renew, args=(lease, run_id, done), name=f"lease {run_id}", daemon=True
        )
        heartbeat.start()
        try:
            yield
        finally:
            done.set()
            heartbeat.join()
            try:
                lease.release()
            except AzureError:
                # It ran out or storage is away; either way it ends by itself, and every write is conditional.
                _log.warning("a lease could not be released", extra={"run_id": run_id})

    def claim_content(self, digest: str, run_id: str) -> str:
        """See `Claims.claim_content`."""
        blob = self._container.get_blob_client(f"content/{digest}")
        with translated(f"claiming content for {run_id}"):
            try:
                blob.upload_blob(run_id.encode(), overwrite=False)
            except ResourceExistsError:
                return blob.download_blob().readall().decode()
        return run_id

    def take_over_content(self, digest: str, run_id: str, *, previous: str) -> bool:
        """See `Claims.take_over_content`."""
        blob = self._container.get_blob_client(f"content/{digest}")
        with translated(f"taking over content for {run_id}"):
            download = blob.download_blob()
            if download.readall().decode() != previous:
                return False
            try:
                blob.upload_blob(
                    run_id.encode(),
                    overwrite=True,
                    etag=download.properties.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except ResourceModifiedError:
                return False
        return True

    def places(self, place: Place) -> Places:
        """See `Claims.places`."""
        with translated(f"reading who has a place: {place}"):
            try:
                download = self._container.get_blob_client(f"place/{place}").download_blob()
            except ResourceNotFoundError:
                return Places(frozenset(), None)
            # Whatever else somebody wrote there names no run, and is gone with the next write.
            text = download.readall().decode(errors="replace")
        return Places(frozenset(text.split()), str(download.properties.etag))

    def replace_places(self, place: Place, runs: Iterable[str], etag: str | None) -> bool:
        """See `Claims.replace_places`."""
        blob = self._container.get_blob_client(f"place/{place}")
        body = "".join(f"{run_id}\n" for run_id in sorted(runs)).encode()
        condition: dict[str, Any] = {}
        if etag is not None:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        with translated(f"taking a place: {place}"):
            try:
                blob.upload_blob(body, overwrite=etag is not None, **condition)
            except (ResourceExistsError, ResourceModifiedError):
                return False
        return True

    def _acquire(self, blob: BlobClient, run_id: str) -> BlobLeaseClient:
        with translated(f"taking hold of {run_id}"):
            try:
                try:
                    return blob.acquire_lease(lease_duration=LEASE_SECONDS)
                except ResourceNotFoundError:
                    _create_empty(blob)
                    return blob.acquire_lease(lease_duration=LEASE_SECONDS)
            except HttpResponseError as fault:
                if storage_code(fault) == "LeaseAlreadyPresent":
                    raise RunBusyError(f"{run_id} is being advanced by another worker") from fault
                raise


def _create_empty(blob: BlobClient) -> None:
    try:
        blob.upload_blob(b"", overwrite=False)
    except HttpResponseError as fault:
        # Somebody else created it, and may hold it already.
        if storage_code(fault) not in {"BlobAlreadyExists", "LeaseIdMissing"}:
            raise


def _renew(lease: BlobLeaseClient, run_id: str, done: threading.Event) -> None:
    while not done.wait(RENEW_SECONDS):
        try:
            lease.renew()
        except AzureError:
            _log.warning("a lease could not be renewed", extra={"run_id": run_id})
