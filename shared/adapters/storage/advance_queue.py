"""The storage queue `advance`: runs to advance, in plain text, as the bindings write it, too."""

from __future__ import annotations

from datetime import timedelta

from azure.storage.queue import QueueClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.queues import send_text

QUEUE = "advance"


class StorageAdvanceQueue:
    """See `AdvanceQueue`."""

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    def enqueue(self, message: str, *, delay: timedelta) -> None:
        """See `AdvanceQueue.enqueue`."""
        with translated(f"queueing the message {message}"):
            send_text(self._queue, message, delay)
