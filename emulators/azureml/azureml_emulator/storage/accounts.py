"""Reads and writes blobs by account, container and name, wherever the account is kept.

azure-storage-blob is imported with the first account outside the emulator: its import takes longer than all
the rest of the emulator's start.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from azureml_emulator.storage.blob_store import BlobStore

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient


class Accounts:
    """The accounts that datastores may name: the workspace's own, and those given by connection string."""

    def __init__(self, connection_strings: dict[str, str], own: BlobStore) -> None:
        self._connection_strings = connection_strings
        self._own = own
        self._clients: dict[str, BlobServiceClient] = {}
        self._lock = threading.Lock()

    def read(self, account: str, container: str, name: str) -> bytes:
        """A blob's bytes.

        Raises:
            FileNotFoundError: There is no such blob, or no such container.
        """
        client = self._client(account)
        if client is None:
            return self._own.read(f"{container}/{name}")
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return client.get_blob_client(container, name).download_blob().readall()
        except ResourceNotFoundError:
            raise FileNotFoundError(f"{container}/{name}") from None

    def names(self, account: str, container: str, prefix: str) -> Iterator[str]:
        """Names of the blobs that begin with the prefix."""
        client = self._client(account)
        if client is None:
            yield from (name for name, _ in self._own.list(container, prefix))
            return
        yield from client.get_container_client(container).list_blob_names(name_starts_with=prefix)

    def write(self, account: str, container: str, name: str, data: bytes) -> None:
        """Keeps a blob, in place of any older one."""
        client = self._client(account)
        if client is None:
            self._own.write(f"{container}/{name}", data)
            return
        client.get_blob_client(container, name).upload_blob(data, overwrite=True)

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients.values():
            client.close()

    def _client(self, account: str) -> BlobServiceClient | None:
        """The client of an account given by connection string; None for the workspace's own."""
        with self._lock:
            if account in self._connection_strings and account not in self._clients:
                from azure.storage.blob import BlobServiceClient

                self._clients[account] = BlobServiceClient.from_connection_string(
                    self._connection_strings[account], retry_total=1
                )
            return self._clients.get(account)
