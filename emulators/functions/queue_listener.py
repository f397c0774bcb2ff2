"""Delivers the messages of one storage queue at least once: leases, retries, poison.

A message leaves its queue only after its handler succeeded, or after its copy stands on the poison queue,
so a host that dies at any point loses nothing: the lease runs out and the message is delivered again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from emulators.functions.bindings import DeliveredMessage
from emulators.functions.host_json import QueueSettings
from emulators.functions.storage import Queues

log = logging.getLogger("host.queue")

FIRST_POLLING_INTERVAL = 0.1


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one queue is delivered.

    Attributes:
        connection: The app setting that holds its connection string.
        queue: Its name.
        poison_queue: Where messages go that failed too often; it shares the connection.
        rules: As in `host.json`.
        lease: Seconds that a message stays invisible; renewed at half time while its handler runs.
    """

    connection: str
    queue: str
    poison_queue: str
    rules: QueueSettings
    lease: float


class QueueListener:
    """Reads one queue and hands each message to a handler until it is stopped."""

    def __init__(
        self, queues: Queues, delivery: Delivery, handle: Callable[[DeliveredMessage], Awaitable[object]]
    ) -> None:
        """Describe the listener; `run` starts it.

        Args:
            queues: Reaches the queue and its poison queue.
            delivery: The rules.
            handle: Called for each delivery; raising anything means that the delivery failed.
        """
        self._queues = queues
        self._delivery = delivery
        self._handle = handle
        self._client = queues.client(delivery.connection, delivery.queue)
        self._bell = queues.bell(delivery.queue)
        self._stopping = False
        self._in_work: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Read no more; what is in work goes on."""
        self._stopping = True
        self._bell.set()

    @property
    def in_work(self) -> set[asyncio.Task[None]]:
        """The deliveries that have not ended."""
        return self._in_work

    async def run(self) -> None:
        """Read and deliver until stopped. Storage faults are logged and outlived."""
        pause = FIRST_POLLING_INTERVAL
        while not self._stopping:
            if len(self._in_work) > self._delivery.rules.new_batch_threshold:
                await asyncio.wait(self._in_work, return_when=asyncio.FIRST_COMPLETED)
                continue
            self._bell.clear()
            messages = await self._read()
            for message in messages:
                task = asyncio.create_task(self._deliver(message))
                self._in_work.add(task)
                task.add_done_callback(self._in_work.discard)
            if messages:
                pause = FIRST_POLLING_INTERVAL
                continue
            await self._wait_for_bell(pause)
            pause = min(pause * 2, max(FIRST_POLLING_INTERVAL, self._delivery.rules.max_polling_interval))

    async def _wait_for_bell(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _read(self) -> list[QueueMessage]:
        def receive() -> list[QueueMessage]:
            size = self._delivery.rules.batch_size
            pages = self._client.receive_messages(
                messages_per_page=size, max_messages=size, visibility_timeout=round(self._delivery.lease)
            )
            return list(pages)

        try:
            messages = await asyncio.to_thread(receive)
        except ResourceNotFoundError:
            return []  # the queue is made by whoever writes to it first
        except AzureError as error:
            log.warning("Queue cannot be read", extra={"queue": self._delivery.queue, "error": str(error)})
            return []
        if self._stopping:
            for message in messages:
                await self._hide(message, 0)
            return []
        return messages

    async def _deliver(self, message: QueueMessage) -> None:
        try:
            if int(message.dequeue_count or 1) > self._delivery.rules.max_dequeue_count:
                # Earlier deliveries never reported back: their host died in the middle.
                await self._poison(message)
            elif await self._attempt(message):
                await asyncio.to_thread(self._client.delete_message, message)
            elif int(message.dequeue_count or 1) >= self._delivery.rules.max_dequeue_count:
                await self._poison(message)
            else:
                await self._hide(message, self._delivery.rules.visibility_timeout)
        except AzureError as error:
            # The lease runs out and the message comes again.
            log.warning(
                "Delivery could not be settled",
                extra={"queue": self._delivery.queue, "message_id": message.id, "error": str(error)},
            )

    async def _attempt(self, message: QueueMessage) -> bool:
        try:
            delivered = self._queues.decode(message)
        except ValueError as error:
            log.warning(
                "Message cannot be read",
                extra={"queue": self._delivery.queue, "message_id": message.id, "error": str(error)},
            )
            return False
        handling = asyncio.ensure_future(self._handle(delivered))
        while not handling.done():
            await asyncio.wait({handling}, timeout=self._delivery.lease / 2)
            if not handling.done():
                await self._hide(message, self._delivery.lease)
        if handling.cancelled():
            return False
        return handling.exception() is None

    async def _hide(self, message: QueueMessage, seconds: float) -> None:
        """Set when the message is delivered next; it gets a new receipt by that."""
        try:
            renewed = await asyncio.to_thread(
                self._client.update_message, message, visibility_timeout=round(seconds)
            )
        except AzureError as error:
            log.warning(
                "Lease could not be set",
                extra={"queue": self._delivery.queue, "message_id": message.id, "error": str(error)},
            )
            return
        message.pop_receipt = renewed.pop_receipt

    async def _poison(self, message: QueueMessage) -> None:
        await self._queues.copy(self._delivery.connection, self._delivery.poison_queue, message)
        await asyncio.to_thread(self._client.delete_message, message)
        log.error(
            "Message moved to the poison queue",
            extra={
                "queue": self._delivery.queue,
                "message_id": message.id,
                "poison_queue": self._delivery.poison_queue,
            },
        )
