"""The storage queue `notifications`: stage changes and ignored uploads to deliver."""

from __future__ import annotations

from datetime import timedelta

from azure.storage.queue import QueueClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.queues import send
from shared.domain.run.notifications import IgnoredNotification, Notification

QUEUE = "notifications"


class NotificationQueue:
    """See `Notifications`."""

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """See `Notifications.enqueue`."""
        with translated(f"queueing the notification {notification.id}"):
            send(self._queue, notification, delay)


class NoNotifications:
    """No webhook is configured."""

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """See `Notifications.enqueue`."""
