"""The data account: clients, container names, and translated errors."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, StorageStreamDownloader

from shared.adapters.http.transport import BoundedTransport
from shared.adapters.retries import storage_retries
from shared.config import StorageConnection

UPLOADS = "uploads"
DATASETS = "datasets"
RUNS = "runs"
REPORTS = "reports"
COORDINATION = "coordination"

CONTAINERS = (UPLOADS, DATASETS, RUNS, REPORTS, COORDINATION)

NOTE_LIMIT_BYTES = 1024 * 1024
"""The longest of the app's own small blobs that is read: names of runs, words."""

READ_PIECE = 4 * 1024 * 1024
"""Bytes per range request: 4 MiB keeps a reader of any blob at about 70 MiB, where the SDK's defaults
take 141 MiB and `readall()` the whole blob (measured on 1.2 GB against Azurite)."""

CONNECT_SECONDS = 10
READ_SECONDS = 60


class DatastoreAddress(NamedTuple):
    """How an Azure ML datastore names an account: `<protocol>://<account>.blob.<endpoint>`."""

    account: str
    endpoint: str
    protocol: str


def blob_service(connection: StorageConnection, credential: TokenCredential) -> BlobServiceClient:
    """Open the data account; a connection string carries its own key, an address uses the identity."""
    options: dict[str, Any] = {
        "max_single_get_size": READ_PIECE,
        "max_chunk_get_size": READ_PIECE,
        "retry_policy": storage_retries(),
        # A client that is given a transport leaves it the deadlines, too.
        "transport": BoundedTransport(connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS),
    }
    if connection.connection_string is not None:
        return BlobServiceClient.from_connection_string(connection.connection_string, **options)
    return BlobServiceClient(connection.blob_service_uri or "", credential=credential, **options)


def datastore_address(service: BlobServiceClient) -> DatastoreAddress:
    """Say where the account is in a datastore's terms."""
    parts = urlsplit(service.url)
    account = str(service.account_name)
    endpoint = (parts.hostname or "").removeprefix(f"{account}.blob.")
    port = f":{parts.port}" if parts.port else ""
    return DatastoreAddress(account, f"{endpoint}{port}", parts.scheme)


def read_bounded(download: StorageStreamDownloader[bytes], limit: int) -> bytes | None:
    """A whole blob, or None if it is longer than `limit` bytes: somebody may have put anything there."""
    return bytes(download.readall()) if download.size <= limit else None


def storage_code(fault: HttpResponseError) -> str:
    """The storage service's own error code, e.g. `LeaseAlreadyPresent`; empty when it gave none."""
    code = getattr(fault, "error_code", None) or ""
    return str(getattr(code, "value", code))


def installation_name(service: BlobServiceClient) -> str:
    """Name this installation: tells its resources from those of others that share the workspace.

    It follows from the account and its container, so that nothing has to be stored that could be damaged.
    """
    container = service.get_container_client(COORDINATION).container_name
    return hashlib.sha256(f"{service.account_name}/{container}".encode()).hexdigest()[:32]
