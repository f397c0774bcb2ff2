"""Has the worker run one function once: its time limited, its outputs sent, one log line."""

import asyncio
import logging
import time
import uuid

from emulators.functions.bindings import TriggerValue, queue_output
from emulators.functions.indexing import Function
from emulators.functions.messages import Message
from emulators.functions.storage import Storage
from emulators.functions.worker import Worker, WorkerError

log = logging.getLogger("host.invocation")


class InvocationError(Exception):
    """The function raised, took too long, or its outputs could not be sent; the log has the cause."""


class Invoker:
    """Invokes functions."""

    def __init__(self, worker: Worker, storage: Storage, *, timeout: float) -> None:
        """Take who runs functions, where queue outputs go, and the seconds that an invocation may take."""
        self._worker = worker
        self._storage = storage
        self._timeout = timeout

    async def invoke(
        self, function: Function, value: TriggerValue, invocation_id: str | None = None
    ) -> Message | None:
        """Run a function and send its outputs; they are sent only when it returned.

        Args:
            function: Which one.
            value: What starts it.
            invocation_id: A new one if None.

        Returns:
            What the function returned, as the worker has encoded it.

        Raises:
            InvocationError: It did not succeed.
        """
        invocation_id = invocation_id or str(uuid.uuid4())
        started = time.monotonic()
        outcome = "failed"
        fields = {"function": function.name, "invocation_id": invocation_id}
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._worker.invoke(
                    function.worker_id, invocation_id, {function.trigger.name: value.data}, value.metadata
                )
                await self._send_outputs(function, response)
            outcome = "succeeded"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except WorkerError as error:
            log.error("Function raised", extra={**fields, "error": str(error), "exception": error.trace})  # noqa: TRY400
            raise InvocationError(f"{function.name} failed (invocation {invocation_id})") from error
        except Exception as error:  # of the time limit, of storage, or of the worker itself
            log.exception("Invocation failed", extra={**fields, "error": type(error).__name__})
            raise InvocationError(f"{function.name} failed (invocation {invocation_id})") from error
        finally:
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            log.info("Executed", extra={**fields, "outcome": outcome, "milliseconds": milliseconds})
        returned: Message | None = response.return_value
        return returned

    async def _send_outputs(self, function: Function, response: Message) -> None:
        values = {output.name: output.data for output in response.output_data}
        for binding in function.outputs:
            if binding.type == "queue" and binding.name in values:
                bodies = queue_output(values[binding.name])
                await self._storage.send(binding.text("connection"), binding.text("queueName"), bodies)
