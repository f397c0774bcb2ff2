"""The storage queue `notifications`: stage changes and ignored uploads to deliver."""

from __future__ import annotations

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

QUEUE = "notifications"

CONNECT_SECONDS = 5
READ_SECONDS = 10
KEEP_SECONDS = 7 * 24 * 3600


class NotificationQueue:
    """See `Notifications`."""

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """See `Notifications.enqueue`."""
        try:
            self._queue.send_message(
                msgspec.json.encode(notification).decode(),
                visibility_timeout=round(delay.total_seconds()),
                time_to_live=KEEP_SECONDS,
            )
        except AzureError as fault:
            raise translate(fault, f"queueing the notification {notification.id}") from fault


class NoNotifications:
    """No webhook is configured."""

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """See `Notifications.enqueue`."""


def open_queue(connection: StorageConnection, credential: TokenCredential) -> QueueClient:
    """Open the queue, in the encoding that host.json tells the host."""
    options: dict[str, Any] = {
        "retry_policy": storage_retries(),
        "connection_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "message_encode_policy": TextBase64EncodePolicy(),
    }
    if connection.connection_string is not None:
        return QueueClient.from_connection_string(connection.connection_string, QUEUE, **options)
    return QueueClient(connection.queue_service_uri or "", QUEUE, credential=credential, **options)
