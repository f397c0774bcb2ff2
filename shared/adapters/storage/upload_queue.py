"""The storage queue `uploads`: uploads to look at again, once they have had time to become whole."""

from __future__ import annotations

from datetime import timedelta

from azure.storage.queue import QueueClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.queues import send
from shared.domain.run.uploads import UploadCheck

QUEUE = "uploads"


class UploadQueue:
    """See `UploadChecks`."""

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    def enqueue(self, check: UploadCheck, *, delay: timedelta) -> None:
        """See `UploadChecks.enqueue`."""
        with translated(f"queueing another look at {check.path}"):
            send(self._queue, check, delay)
