"""The storage queues `notifications`, stage changes to deliver, and `advance`, runs to advance."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import msgspec
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from shared.adapters.retries import storage_retries
from shared.adapters.sdk_errors import translate
from shared.config import StorageConnection
from shared.domain.run.notifications import IgnoredNotification, Notification

NOTIFICATIONS = "notifications"
ADVANCE = "advance"

CONNECT_SECONDS = 5
READ_SECONDS = 10
KEEP_SECONDS = 7 * 24 * 3600


class NotificationQueue:
    """See `Notifications`."""

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """See `Notifications.enqueue`."""
        text = msgspec.json.encode(notification).decode()
        _send(self._queue, text, delay, f"queueing the notification {notification.id}")


class NoNotifications:
    """No webhook is configured."""

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """See `Notifications.enqueue`."""


class StorageAdvanceQueue:
    """See `AdvanceQueue`."""

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    def enqueue(self, message: str, *, delay: timedelta) -> None:
        """See `AdvanceQueue.enqueue`."""
        _send(self._queue, message, delay, f"queueing {message}")


def _send(queue: QueueClient, text: str, delay: timedelta, doing: str) -> None:
    try:
        queue.send_message(
            text, visibility_timeout=math.ceil(delay.total_seconds()), time_to_live=KEEP_SECONDS
        )
    except AzureError as fault:
        raise translate(fault, doing) from fault


def open_queue(name: str, connection: StorageConnection, credential: TokenCredential) -> QueueClient:
    """Open a queue, in the encoding that host.json tells the host."""
    options: dict[str, Any] = {
        "retry_policy": storage_retries(),
        "connection_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "message_encode_policy": TextBase64EncodePolicy(),
    }
    if connection.connection_string is not None:
        return QueueClient.from_connection_string(connection.connection_string, name, **options)
    return QueueClient(connection.queue_service_uri or "", name, credential=credential, **options)
