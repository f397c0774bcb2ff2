"""Run locks: `run/<run_id>` in the `coordination` container is leased while a worker advances the run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobServiceClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import COORDINATION, storage_code
from shared.domain.errors import RunBusyError
from shared.logs import get_logger

LEASE_SECONDS = 60
"""The longest lease that storage grants short of an infinite one: after a crash the run is free within it."""

RENEW_SECONDS = 20

_log = get_logger(__name__)


class BlobRunLock:
    """Leases on one blob for each run."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(COORDINATION)

    @contextmanager
    def acquire(self, run_id: str) -> Iterator[None]:
        """See `RunLock.acquire`."""
        lease = self._acquire_lease(self._container.get_blob_client(f"run/{run_id}"), run_id)
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

    def was_locked(self, run_id: str) -> bool:
        """See `RunLock.was_locked`."""
        with translated(f"looking for the lock of {run_id}"):
            return bool(self._container.get_blob_client(f"run/{run_id}").exists())

    def _acquire_lease(self, blob: BlobClient, run_id: str) -> BlobLeaseClient:
        with translated(f"locking {run_id}"):
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
