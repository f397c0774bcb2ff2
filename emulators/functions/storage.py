"""Storage connections of the app settings, and queues written as the host writes them."""

import asyncio
import base64
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient
from azure.storage.queue import LinearRetry, QueueClient

from emulators.functions import UnservableAppError

HOST_CONNECTION = "AzureWebJobsStorage"
"""The setting of the storage for the host's own queues, whatever connection a trigger names."""


class Storage:
    """Every queue that this host touches: one client each, and an event that is set when it wrote to one.

    All calls block a thread of `asyncio.to_thread`, never the loop.
    """

    def __init__(self, settings: Mapping[str, str], *, encode: bool) -> None:
        """Take the settings with the connection strings, and whether bodies travel base64-encoded."""
        self._settings = settings
        self._encode = encode
        self._clients: dict[tuple[str, str], QueueClient] = {}
        self._wake_ups: dict[str, asyncio.Event] = {}

    def queue(self, connection: str, name: str) -> QueueClient:
        """The client of one queue.

        Raises:
            UnservableAppError: There is no such connection string.
        """
        key = (connection, name)
        if key not in self._clients:
            self._clients[key] = QueueClient.from_connection_string(
                self._connection_string(connection),
                name,
                # The default waits 15 s before its first retry; a listener has its own pace.
                retry_policy=LinearRetry(backoff=1, retry_total=2),
            )
        return self._clients[key]

    def wake_up(self, queue: str) -> asyncio.Event:
        """Set whenever this host has put a message on the queue: its listener need not wait to poll."""
        return self._wake_ups.setdefault(queue, asyncio.Event())

    async def send(self, connection: str, queue: str, bodies: Iterable[str]) -> None:
        """Put messages on a queue, creating it when it is missing."""
        for body in bodies:
            content = base64.b64encode(body.encode()).decode() if self._encode else body
            await asyncio.to_thread(put, self.queue(connection, queue), content)
        self.wake_up(queue).set()

    def decode(self, content: str) -> str:
        """The body of a message as functions see it.

        Raises:
            ValueError: It is not base64 although `host.json` says that it is.
        """
        # A queue trigger of the platform asks for text, whatever the bytes are.
        return base64.b64decode(content, validate=True).decode(errors="replace") if self._encode else content

    async def blob_exists(self, connection: str, container: str, name: str) -> bool:
        """Whether a blob is there."""
        text = self._connection_string(connection)
        with BlobClient.from_connection_string(text, container, name) as client:
            return await asyncio.to_thread(client.exists)

    def _connection_string(self, setting: str) -> str:
        try:
            return self._settings[setting]
        except KeyError as error:
            raise UnservableAppError(f"the app settings hold no connection string {setting}") from error


def put(client: QueueClient, content: str) -> None:
    """Put a message on a queue as it is, creating the queue when it is missing."""
    # Without an expiry: a poison message has to outlast the seven days that are the default.
    arguments: dict[str, Any] = {"time_to_live": -1}
    try:
        client.send_message(content, **arguments)
    except ResourceNotFoundError:
        with contextlib.suppress(ResourceExistsError):
            client.create_queue()
        client.send_message(content, **arguments)
