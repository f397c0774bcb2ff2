"""Runs one function once: arguments in, outputs sent, one log line."""

import asyncio
import contextvars
import logging
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import azure.functions as func

from local.host.bindings import OutputValue, queue_output
from local.host.indexing import Function
from local.host.logs import current_invocation
from local.host.storage import Queues

log = logging.getLogger("host.invocation")


class InvocationError(Exception):
    """The function raised, took too long, or its outputs could not be sent; the log has the cause."""

    def __init__(self, function: str, invocation_id: str) -> None:
        super().__init__(f"{function} failed (invocation {invocation_id})")
        self.invocation_id = invocation_id


class Invoker:
    """Invokes functions: coroutine functions on the loop, others in a pool of threads as in a worker."""

    def __init__(self, queues: Queues, *, timeout: float | None, folder: str) -> None:
        """Prepare the pool.

        Args:
            queues: Where queue outputs are sent.
            timeout: Seconds that an invocation may take, or None.
            folder: The app's root, as `func.Context` tells it.
        """
        self._queues = queues
        self._timeout = timeout
        self._folder = folder
        configured = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
        self._threads = ThreadPoolExecutor(
            int(configured) if configured else None, thread_name_prefix="function"
        )

    async def invoke(self, function: Function, argument: Any) -> Any:
        """Run a function and send its outputs; they are sent only when it returned.

        Returns:
            What the function returned.

        Raises:
            InvocationError: It did not succeed.
        """
        invocation_id = str(uuid.uuid4())
        token = current_invocation.set(invocation_id)
        started = time.monotonic()
        outcome = "failed"
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._run(function, argument, invocation_id)
            outcome = "succeeded"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception as error:  # a function may raise anything
            log.exception("Function raised", extra={"function": function.name, "error": type(error).__name__})
            raise InvocationError(function.name, invocation_id) from error
        finally:
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            log.info(
                "Executed",
                extra={"function": function.name, "outcome": outcome, "milliseconds": milliseconds},
            )
            current_invocation.reset(token)
        return result

    def close(self) -> None:
        """Take no more work; what runs in a thread is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Function, argument: Any, invocation_id: str) -> Any:
        outputs = {binding.name: OutputValue() for binding in function.outputs if binding.name != "$return"}
        arguments: dict[str, Any] = {function.trigger.name: argument, **outputs}
        if "context" in function.annotations:
            arguments["context"] = _Context(function.name, invocation_id, self._folder)
        if function.is_async:
            result = await function.call(**arguments)
        else:
            context = contextvars.copy_context()
            result = await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: context.run(function.call, **arguments)
            )
        for binding in function.outputs:
            if binding.type == "queue":
                value = result if binding.name == "$return" else outputs[binding.name].get()
                await self._queues.send(
                    binding.text("connection"), binding.text("queueName"), queue_output(value)
                )
        return result


class _Context(func.Context):
    """What a function may ask about its invocation; this host traces and retries nothing by itself."""

    def __init__(self, function: str, invocation_id: str, folder: str) -> None:
        self._function = function
        self._invocation_id = invocation_id
        self._folder = folder

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def function_name(self) -> str:
        return self._function

    @property
    def function_directory(self) -> str:
        return self._folder

    @property
    def thread_local_storage(self) -> Any:
        return None

    @property
    def trace_context(self) -> Any:
        return None

    @property
    def retry_context(self) -> Any:
        return None
