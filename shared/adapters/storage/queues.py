"""Queues of the data account: how they are opened, and how messages are sent with a delay."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import msgspec
from azure.core.credentials import TokenCredential
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from shared.adapters.http.transport import BoundedTransport
from shared.adapters.retries import storage_retries
from shared.config import StorageConnection

CONNECT_SECONDS = 5
READ_SECONDS = 10
KEEP_SECONDS = 7 * 24 * 3600


def open_queue(connection: StorageConnection, credential: TokenCredential, name: str) -> QueueClient:
    """Open a queue, in the encoding that host.json tells the host."""
    options: dict[str, Any] = {
        "retry_policy": storage_retries(),
        "transport": BoundedTransport(connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS),
        "message_encode_policy": TextBase64EncodePolicy(),
    }
    if connection.connection_string is not None:
        return QueueClient.from_connection_string(connection.connection_string, name, **options)
    return QueueClient(connection.queue_service_uri or "", name, credential=credential, **options)


def send(queue: QueueClient, message: msgspec.Struct, delay: timedelta) -> None:
    """Send a message as JSON, visible after `delay`, to the full second.

    Raises:
        AzureError: The queue did not take it.
    """
    send_text(queue, msgspec.json.encode(message).decode(), delay)


def send_text(queue: QueueClient, text: str, delay: timedelta) -> None:
    """Send a message as it is, visible after `delay`, to the full second.

    Raises:
        AzureError: The queue did not take it.
    """
    queue.send_message(
        text,
        visibility_timeout=max(0, math.ceil(delay.total_seconds())),
        time_to_live=KEEP_SECONDS,
    )
