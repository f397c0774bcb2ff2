"""Delivers the messages of one storage queue at least once: leases, retries, poison.

A message leaves its queue only after its handler succeeded, or after its copy stands on the poison queue,
so a host that dies at any point loses nothing: the lease runs out and the message is delivered again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from emulators.functions.host_json import Queues
from emulators.functions.storage import Storage, put

log = logging.getLogger("host.queue")

FIRST_POLLING_INTERVAL = 0.1

Handle = Callable[[QueueMessage, str], Awaitable[object]]
"""Takes a message and its decoded body; raising anything means that the delivery failed."""


class QueueListener:
    """Reads one queue and hands each message to a handler until it is stopped."""

    def __init__(
        self,
        storage: Storage,
        queue: QueueClient,
        poison_queue: QueueClient,
        rules: Queues,
        lease: float,
        handle: Handle,
    ) -> None:
        """Describe the listener; `run` starts it.

        Args:
            storage: Decodes messages, and tells when this host has sent one.
            queue: Is read.
            poison_queue: Where messages go that failed too often.
            rules: As in `host.json`.
            lease: Seconds that a message stays invisible; renewed at half time while its handler runs.
            handle: Called for each delivery.
        """
        self._decode = storage.decode
        self._client = queue
        self._poison_client = poison_queue
        self._wake_up = storage.wake_up(queue.queue_name)
        self._rules = rules
        self._lease = lease
        self._handle = handle
        self._stopping = False
        self.in_work: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Read no more; what is in work goes on."""
        self._stopping = True
        self._wake_up.set()

    async def run(self) -> None:
        """Read and deliver until stopped. Storage faults are logged and outlived."""
        pause = FIRST_POLLING_INTERVAL
        threshold = self._rules.new_batch_threshold
        most = self._rules.batch_size // 2 if threshold is None else threshold
        while not self._stopping:
            if len(self.in_work) > most:
                await asyncio.wait(self.in_work, return_when=asyncio.FIRST_COMPLETED)
                continue
            self._wake_up.clear()
            messages = await self._read()
            for message in messages:
                task = asyncio.create_task(self._deliver(message))
                self.in_work.add(task)
                task.add_done_callback(self.in_work.discard)
            if messages:
                pause = FIRST_POLLING_INTERVAL
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake_up.wait(), pause)
            pause = min(pause * 2, max(FIRST_POLLING_INTERVAL, self._rules.max_polling_interval))

    async def _read(self) -> list[QueueMessage]:
        def receive() -> list[QueueMessage]:
            size = self._rules.batch_size
            pages = self._client.receive_messages(
                messages_per_page=size, max_messages=size, visibility_timeout=round(self._lease)
            )
            return list(pages)

        try:
            messages = await asyncio.to_thread(receive)
        except ResourceNotFoundError:
            return []  # the queue is made by whoever writes to it first
        except AzureError as error:
            self._warn("Queue cannot be read", error)
            return []
        if self._stopping:
            for message in messages:
                await self._hide(message, 0)
            return []
        return messages

    async def _deliver(self, message: QueueMessage) -> None:
        deliveries = int(message.dequeue_count or 1)
        try:
            # If it is over the limit, earlier deliveries never reported back: their host died in the middle.
            tried = deliveries <= self._rules.max_dequeue_count
            if tried and await self._attempt(message):
                await asyncio.to_thread(self._client.delete_message, message)
            elif deliveries >= self._rules.max_dequeue_count:
                await self._poison(message)
            else:
                await self._hide(message, self._rules.visibility_timeout)
        except AzureError as error:
            # The lease runs out and the message comes again.
            self._warn("Delivery could not be settled", error, message)

    async def _attempt(self, message: QueueMessage) -> bool:
        try:
            body = self._decode(cast(str, message.content))
        except ValueError as error:
            self._warn("Message cannot be read", error, message)
            return False
        handling = asyncio.ensure_future(self._handle(message, body))
        while not handling.done():
            await asyncio.wait({handling}, timeout=self._lease / 2)
            if not handling.done():
                await self._hide(message, self._lease)
        return not handling.cancelled() and handling.exception() is None

    async def _hide(self, message: QueueMessage, seconds: float) -> None:
        """Set when the message is delivered next; it gets a new receipt by that."""
        try:
            renewed = await asyncio.to_thread(
                self._client.update_message, message, visibility_timeout=round(seconds)
            )
            message.pop_receipt = renewed.pop_receipt
        except AzureError as error:
            self._warn("Lease could not be set", error, message)

    async def _poison(self, message: QueueMessage) -> None:
        await asyncio.to_thread(put, self._poison_client, cast(str, message.content))
        await asyncio.to_thread(self._client.delete_message, message)
        names = {"queue": self._client.queue_name, "poison_queue": self._poison_client.queue_name}
        log.error("Message moved to the poison queue", extra={**names, "message_id": message.id})

    def _warn(self, what: str, error: Exception, message: QueueMessage | None = None) -> None:
        fields = {"queue": self._client.queue_name, "message_id": message and message.id}
        log.warning(what, extra={**fields, "error": str(error)})
