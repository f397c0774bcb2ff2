"""Microsoft's worker for Python, `azure-functions-runtime`, in this process.

It imports the app, checks and indexes its functions, converts bindings and invokes, all as it does in Azure.
It keeps its state in its modules: one app a process. Nothing but the standard library is imported here, so
that the app's own packages are the ones that are found.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import emulators
from emulators.functions.messages import Message, StatusResult, request

CHECKOUT = Path(next(iter(emulators.__path__))).resolve().parent
RUNTIME = CHECKOUT / ".venv" / "functions-runtime"
RUNTIME_SETTING = "FUNCTIONS_RUNTIME"
SCRIPT = "function_app.py"


class WorkerError(Exception):
    """The app cannot be indexed, or an invocation failed; the message is the worker's own."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


class Worker:
    """The worker after it has indexed an app: `start` makes one."""

    def __init__(self, runtime: Any, capabilities: Mapping[str, str], functions: Sequence[Message]) -> None:
        """Take the started runtime, what it told its host, and the metadata of the functions."""
        self._runtime = runtime
        self.capabilities = capabilities
        self.functions = functions

    @classmethod
    async def start(cls, folder: Path) -> Worker:
        """Import and index the app of a folder; its HTTP server, if it has one, runs on this event loop.

        Args:
            folder: The app's root. It comes first on the import path, then its `.python_packages`; the
                worker comes last, as in Azure, and this checkout's own root leaves the path.

        Raises:
            WorkerError: The worker refuses the app, or finds no functions.
        """
        set_import_path(folder.resolve())
        runtime = importlib.import_module("azure_functions_runtime")
        runtime.start_threadpool_executor()
        init = Message(capabilities={}, function_app_directory=str(folder.resolve()))
        try:
            started = await runtime.worker_init_request(request(worker_init_request=init))
        except ImportError as error:  # azure-functions is missing
            raise WorkerError(f"the app's packages are not complete: {error}") from error
        _check(started.result)
        listed = await runtime.functions_metadata_request(request())
        if not listed.function_metadata_results:
            raise WorkerError(f"{folder / SCRIPT} is missing or declares no functions")
        return cls(runtime, started.capabilities, listed.function_metadata_results)

    async def invoke(
        self,
        function_id: str,
        invocation_id: str,
        inputs: Mapping[str, Message],
        metadata: Mapping[str, Message],
    ) -> Message:
        """Run a function once.

        Args:
            function_id: As in its metadata.
            invocation_id: Unique; the app's log records carry it.
            inputs: A `TypedData` for each input binding.
            metadata: Of the trigger, each a `TypedData`, too.

        Returns:
            The `InvocationResponse`: `return_value`, and `output_data` for each output that was set.

        Raises:
            WorkerError: The function raised, or a value of it could not be converted.
        """
        self._runtime.invocation_id_cv.set(invocation_id)
        invocation = Message(
            invocation_id=invocation_id,
            function_id=function_id,
            input_data=[Message(name=name, data=data) for name, data in inputs.items()],
            trigger_metadata=metadata,
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        response: Message = await self._runtime.invocation_request(request(invocation_request=invocation))
        _check(response.result)
        return response

    def current_invocation(self) -> str | None:
        """The id of the invocation that the calling thread or task carries out, or None."""
        invocation_id: str | None = self._runtime.invocation_id_cv.get()
        return invocation_id

    def close(self) -> None:
        """Take no more work; what runs in a thread is not waited for."""
        self._runtime.get_threadpool_executor().shutdown(wait=False, cancel_futures=True)


def set_import_path(folder: Path) -> None:
    """Put an app's folder and its packages before everything else, and the worker after it.

    Raises:
        WorkerError: The worker is not where it should be.
    """
    runtime = Path(os.environ.get(RUNTIME_SETTING) or RUNTIME).resolve()
    if not (runtime / "azure_functions_runtime").is_dir():
        raise WorkerError(
            f"azure-functions-runtime is not in {runtime}: run `make setup`,"
            f" or name its folder in the environment variable {RUNTIME_SETTING}"
        )
    packages = folder / ".python_packages" / "lib" / "site-packages"
    moved = {CHECKOUT, folder, packages, runtime}
    kept = [entry for entry in sys.path if Path(entry).resolve() not in moved]
    sys.path[:] = [str(folder), *([str(packages)] if packages.is_dir() else []), *kept, str(runtime)]
    importlib.invalidate_caches()


def _check(result: Any) -> None:
    if result.status != StatusResult.Success:
        raise WorkerError(result.exception.message, result.exception.stack_trace)
