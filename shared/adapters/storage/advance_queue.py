"""The queues `advance` and `requested`: runs to advance, in plain text, as the bindings write it, too."""

from __future__ import annotations

from datetime import timedelta

from azure.storage.queue import QueueClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.queues import send_text

QUEUE = "advance"

AHEAD = "requested"
"""What a caller asked for, a teardown, a slot that is free: no routine look is ahead of it."""


class StorageAdvanceQueue:
    """See `AdvanceQueue`."""

    def __init__(self, queue: QueueClient, ahead: QueueClient) -> None:
        self._queue = queue
        self._ahead = ahead

    def enqueue(self, message: str, *, delay: timedelta, ahead: bool = False) -> None:
        """See `AdvanceQueue.enqueue`."""
        with translated(f"queueing the message {message}"):
            send_text(self._ahead if ahead else self._queue, message, delay)
