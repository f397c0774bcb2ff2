"""One running host: everything that serves an app, put together, started and stopped."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from emulators.functions.admin import Admin
from emulators.functions.bindings import DeliveredMessage, queue_message, timer_request
from emulators.functions.blob_events import POISON_QUEUE, BlobEvents, trigger_queue
from emulators.functions.event_grid_events import EventGridEvents
from emulators.functions.host_json import HostSettings
from emulators.functions.http_functions import HttpFunctions
from emulators.functions.http_proxy import HttpProxy
from emulators.functions.indexing import Function, enabled_functions
from emulators.functions.invocation import Invoker
from emulators.functions.queue_listener import Delivery, QueueListener
from emulators.functions.requests import Keys, problem
from emulators.functions.storage import HOST_CONNECTION, Queues
from emulators.functions.timers import Timer
from emulators.functions.worker import Worker

log = logging.getLogger("host")


class FunctionHost:
    """Serves the functions of one app folder."""

    def __init__(
        self,
        folder: Path,
        worker: Worker,
        host_json: HostSettings,
        settings: Mapping[str, str],
        keys: Keys,
        *,
        lease: float,
    ) -> None:
        """Put the host together; nothing is contacted before `start`.

        Args:
            folder: The app's root.
            worker: Has indexed the app.
            host_json: Its `host.json`.
            settings: The app settings, that is, the process environment.
            keys: What callers have to present.
            lease: Seconds until a message is delivered again whose host has died.

        Raises:
            IndexingError: A function cannot be served.
            ConnectionSettingError: A connection string is missing.
            ScheduleError: A timer's schedule cannot be read.
        """
        functions = enabled_functions(worker.functions, settings)
        self._worker = worker
        address = worker.capabilities.get("HttpUri")
        self._proxy = HttpProxy(address) if address else None
        self._host_id = settings.get("AzureFunctionsWebHost__hostid") or _host_id(folder)
        self._queues = Queues(settings, encode=host_json.queues.base64)
        self._invoker = Invoker(worker, self._queues, timeout=host_json.function_timeout)
        self._blobs = BlobEvents(functions, self._queues, trigger_queue(self._host_id), keys, self._invoker)
        self._events = EventGridEvents(functions, keys, self._invoker)
        self._admin = Admin(functions, self._host_id, keys, self._invoker)
        self._http = HttpFunctions(functions, host_json.route_prefix, keys, self._invoker, self._proxy)
        self._listeners = self._make_listeners(functions, host_json, lease)
        self._timers = [
            self._timer(function) for function in functions if function.trigger.type == "timerTrigger"
        ]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def addresses(self) -> list[str]:
        """The HTTP endpoints of the app."""
        return self._http.addresses

    def application(self) -> Starlette:
        """The ASGI application of the host."""
        application = Starlette(
            routes=[
                Route("/admin/host/status", self._admin.status, methods=["GET"]),
                Route("/admin/functions", self._admin.list_functions, methods=["GET"]),
                Route("/admin/functions/{name}", self._admin.invoke, methods=["POST"]),
                Route("/runtime/webhooks/blobs", self._blobs.webhook, methods=["POST"]),
                Route("/runtime/webhooks/eventgrid", self._events.webhook, methods=["POST"]),
            ],
            exception_handlers={404: _not_found, 405: _not_found, 500: _internal_error},
        )
        # Not a route: Starlette's patterns match no path that has a line feed in it, as %0A.
        application.router.default = self._serve_app
        return application

    async def _serve_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)

    async def start(self) -> None:
        """Listen on the queues and start the timers.

        Raises:
            azure.core.exceptions.AzureError: Storage cannot be reached.
            TimeoutError: The worker's HTTP server does not start.
        """
        if self._proxy is not None:
            await self._proxy.start()
        if self._blobs.any:
            await self._queues.create(HOST_CONNECTION, trigger_queue(self._host_id))
        runs: list[Coroutine[Any, Any, None]] = [listener.run() for listener in self._listeners]
        runs += [timer.run() for timer in self._timers]
        self._tasks = [asyncio.create_task(run) for run in runs]

    async def stop(self, grace: float) -> bool:
        """Take no more work and wait for what is in work.

        Args:
            grace: Seconds to wait.

        Returns:
            Whether everything ended in time. What did not is delivered again once its lease runs out.
        """
        for listener in self._listeners:
            listener.stop()
        for task in self._tasks[len(self._listeners) :]:
            task.cancel()
        in_work: set[asyncio.Task[Any]] = {*self._tasks, *self._admin.in_work, *self._http.in_work}
        for listener in self._listeners:
            in_work |= listener.in_work
        pending: set[asyncio.Task[Any]] = set()
        if in_work:
            _, pending = await asyncio.wait(in_work, timeout=grace)
        for task in pending:
            task.cancel()
        self._worker.close()
        if self._proxy is not None:
            await self._proxy.close()
        if not pending:
            self._queues.close()
        return not pending

    def _make_listeners(
        self, functions: list[Function], host_json: HostSettings, lease: float
    ) -> list[QueueListener]:
        listeners = []
        for function in functions:
            if function.trigger.type == "queueTrigger":
                queue = function.trigger.text("queueName")
                connection = function.trigger.text("connection")
                delivery = Delivery(connection, queue, f"{queue}-poison", host_json.queues, lease)
                listeners.append(QueueListener(self._queues, delivery, self._handler(function)))
        if self._blobs.any:
            rules = replace(
                host_json.queues,
                batch_size=min(32, host_json.blob_parallelism),
                new_batch_threshold=host_json.blob_parallelism - 1,
                max_dequeue_count=host_json.poison_blob_threshold,
            )
            delivery = Delivery(HOST_CONNECTION, trigger_queue(self._host_id), POISON_QUEUE, rules, lease)
            listeners.append(QueueListener(self._queues, delivery, self._blobs.process))
        return listeners

    def _handler(self, function: Function) -> Callable[[DeliveredMessage], Awaitable[object]]:
        return lambda message: self._invoker.invoke(function, queue_message(message))

    def _timer(self, function: Function) -> Timer:
        return Timer(
            function.name,
            function.trigger.text("schedule"),
            lambda past_due: self._invoker.invoke(function, timer_request(past_due=past_due)),
            run_on_startup=bool(function.trigger.properties.get("runOnStartup")),
        )


def _host_id(folder: Path) -> str:
    return f"local-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:10]}"


async def _not_found(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return problem(404, "nothing is served at this path with this method")


async def _internal_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return problem(500, "the host failed to handle the request; its log tells why")
