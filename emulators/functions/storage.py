"""Storage connections of the app settings, and queues written as the host writes them."""

import asyncio
import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, cast

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient
from azure.storage.queue import LinearRetry, QueueClient, QueueMessage

from emulators.functions.bindings import DeliveredMessage

# The host's own queues live here, whatever connection a trigger names.
HOST_CONNECTION = "AzureWebJobsStorage"


class ConnectionSettingError(Exception):
    """A binding names a connection that the app settings do not hold as a connection string."""


class Queues:
    """Every queue that this host touches: one client each, and a bell that rings when it wrote to one.

    All calls block a thread of `asyncio.to_thread`, never the loop.
    """

    def __init__(self, settings: Mapping[str, str], *, encode: bool) -> None:
        """Take the app settings.

        Args:
            settings: Where connection strings are looked up.
            encode: Whether message bodies travel base64-encoded (`messageEncoding` in `host.json`).
        """
        self._settings = settings
        self._encode = encode
        self._clients: dict[tuple[str, str], QueueClient] = {}
        self._bells: dict[str, asyncio.Event] = {}

    def client(self, connection: str, queue: str) -> QueueClient:
        """The client of one queue.

        Raises:
            ConnectionSettingError: There is no such connection string.
        """
        key = (connection, queue)
        if key not in self._clients:
            self._clients[key] = QueueClient.from_connection_string(
                connection_string(self._settings, connection),
                queue,
                # The default waits 15 s before its first retry; a listener has its own pace.
                retry_policy=LinearRetry(backoff=1, retry_total=2),
            )
        return self._clients[key]

    def bell(self, queue: str) -> asyncio.Event:
        """Set whenever this host has put a message on the queue: its listener need not wait to poll."""
        return self._bells.setdefault(queue, asyncio.Event())

    async def create(self, connection: str, queue: str) -> None:
        """Make sure that a queue exists."""
        await asyncio.to_thread(_create, self.client(connection, queue))

    async def send(self, connection: str, queue: str, bodies: Iterable[str]) -> None:
        """Put messages on a queue, creating it when it is missing."""
        client = self.client(connection, queue)
        for body in bodies:
            content = base64.b64encode(body.encode()).decode() if self._encode else body
            await asyncio.to_thread(_send, client, content)
        self.bell(queue).set()

    async def copy(self, connection: str, queue: str, message: QueueMessage) -> None:
        """Put a message on another queue as it is, creating that queue when it is missing."""
        await asyncio.to_thread(_send, self.client(connection, queue), cast(str, message.content))

    def decode(self, message: QueueMessage) -> DeliveredMessage:
        """The message as functions see it.

        Raises:
            ValueError: The body is not base64 although `host.json` says that it is.
        """
        content = cast(str, message.content)
        body = content
        if self._encode:
            try:
                # A queue trigger of the platform asks for text, whatever the bytes are.
                body = base64.b64decode(content, validate=True).decode(errors="replace")
            except binascii.Error as error:
                raise ValueError("the message is not base64-encoded") from error
        return DeliveredMessage(
            id=str(message.id),
            body=body,
            dequeue_count=int(message.dequeue_count or 1),
            pop_receipt=str(message.pop_receipt),
            inserted_on=message.inserted_on,
            expires_on=message.expires_on,
            next_visible_on=message.next_visible_on,
        )

    async def blob_exists(self, connection: str, container: str, name: str) -> bool:
        """Whether a blob is there.

        Raises:
            ConnectionSettingError: There is no such connection string.
        """
        text = connection_string(self._settings, connection)
        with BlobClient.from_connection_string(text, container, name) as client:
            return await asyncio.to_thread(client.exists)

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()


def connection_string(settings: Mapping[str, str], connection: str) -> str:
    """The connection string behind a binding's `connection`, as the platform looks it up.

    Raises:
        ConnectionSettingError: No setting of that name, with or without the `AzureWebJobs` prefix.
    """
    name = connection or HOST_CONNECTION
    for candidate in (name, f"AzureWebJobs{name}"):
        if settings.get(candidate):
            return settings[candidate]
    raise ConnectionSettingError(f"the app settings hold no connection string called {name}")


def _create(client: QueueClient) -> None:
    try:
        client.create_queue()
    except ResourceExistsError:
        return


def _send(client: QueueClient, content: str) -> None:
    # Without an expiry: a poison message has to outlast the seven days that are the default.
    arguments: dict[str, Any] = {"time_to_live": -1}
    try:
        client.send_message(content, **arguments)
    except ResourceNotFoundError:
        _create(client)
        client.send_message(content, **arguments)
