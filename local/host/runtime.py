"""One running host: everything that serves an app, put together, started and stopped."""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local.host.admin import Admin
from local.host.bindings import queue_message, timer_request
from local.host.blob_events import POISON_QUEUE, BlobEvents, trigger_queue
from local.host.event_grid_events import EventGridEvents
from local.host.host_json import HostSettings
from local.host.http_functions import HttpFunctions
from local.host.indexing import Function
from local.host.invocation import Invoker
from local.host.keys import Keys
from local.host.problems import problem
from local.host.queue_listener import Delivery, QueueListener
from local.host.storage import HOST_CONNECTION, Queues
from local.host.timers import Timer

log = logging.getLogger("host")


class FunctionHost:
    """Serves the functions of one app folder."""

    def __init__(
        self,
        folder: Path,
        functions: list[Function],
        host_json: HostSettings,
        settings: Mapping[str, str],
        keys: Keys,
        *,
        lease: float,
    ) -> None:
        """Put the host together; nothing is contacted before `start`.

        Args:
            folder: The app's root.
            functions: What `load_functions` found there.
            host_json: Its `host.json`.
            settings: The app settings, that is, the process environment.
            keys: What callers have to present.
            lease: Seconds until a message is delivered again whose host has died.

        Raises:
            IndexingError: A function cannot be served.
            ConnectionSettingError: A connection string is missing.
            ScheduleError: A timer's schedule cannot be read.
        """
        functions = [function for function in functions if not _disabled(function, settings)]
        self._host_id = settings.get("AzureFunctionsWebHost__hostid") or _host_id(folder)
        self._queues = Queues(settings, encode=host_json.queues.base64)
        self._invoker = Invoker(self._queues, timeout=host_json.function_timeout, folder=str(folder))
        self._blobs = BlobEvents(functions, self._queues, trigger_queue(self._host_id), keys, self._invoker)
        self._events = EventGridEvents(functions, keys, self._invoker)
        self._admin = Admin(functions, self._host_id, keys, self._invoker)
        self._http = HttpFunctions(functions, host_json.route_prefix, keys, self._invoker)
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
            response = await self._http(Request(scope, receive))
            await response(scope, receive, send)

    async def start(self) -> None:
        """Listen on the queues and start the timers.

        Raises:
            azure.core.exceptions.AzureError: Storage cannot be reached.
        """
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
        in_work = {*self._tasks, *self._admin.in_work}
        for listener in self._listeners:
            in_work |= listener.in_work
        pending: set[asyncio.Task[None]] = set()
        if in_work:
            _, pending = await asyncio.wait(in_work, timeout=grace)
        for task in pending:
            task.cancel()
        self._invoker.close()
        if not pending:
            self._queues.close()
        return not pending

    def _make_listeners(
        self, functions: list[Function], host_json: HostSettings, lease: float
    ) -> list[QueueListener]:
        listeners = [
            self._queue_listener(function, host_json, lease)
            for function in functions
            if function.trigger.type == "queueTrigger"
        ]
        if self._blobs.any:
            delivery = Delivery(
                connection=HOST_CONNECTION,
                queue=trigger_queue(self._host_id),
                poison_queue=POISON_QUEUE,
                batch_size=min(32, host_json.blob_parallelism),
                new_batch_threshold=host_json.blob_parallelism - 1,
                max_dequeue_count=host_json.poison_blob_threshold,
                retry_delay=host_json.queues.visibility_timeout,
                max_polling_interval=host_json.queues.max_polling_interval,
                lease=lease,
            )
            listeners.append(QueueListener(self._queues, delivery, self._blobs.process))
        return listeners

    def _queue_listener(self, function: Function, host_json: HostSettings, lease: float) -> QueueListener:
        rules = host_json.queues
        queue = function.trigger.text("queueName")
        delivery = Delivery(
            connection=function.trigger.text("connection"),
            queue=queue,
            poison_queue=f"{queue}-poison",
            batch_size=rules.batch_size,
            new_batch_threshold=rules.new_batch_threshold,
            max_dequeue_count=rules.max_dequeue_count,
            retry_delay=rules.visibility_timeout,
            max_polling_interval=rules.max_polling_interval,
            lease=lease,
        )
        return QueueListener(
            self._queues, delivery, lambda message: self._invoker.invoke(function, queue_message(message))
        )

    def _timer(self, function: Function) -> Timer:
        return Timer(
            function.name,
            function.trigger.text("schedule"),
            lambda past_due: self._invoker.invoke(function, timer_request(past_due=past_due)),
            run_on_startup=bool(function.trigger.properties.get("runOnStartup")),
        )


def _disabled(function: Function, settings: Mapping[str, str]) -> bool:
    # https://learn.microsoft.com/azure/azure-functions/disable-function
    disabled = settings.get(f"AzureWebJobs.{function.name}.Disabled", "").lower() in {"1", "true"}
    if disabled:
        log.info("Function is disabled", extra={"function": function.name})
    return disabled


def _host_id(folder: Path) -> str:
    return f"local-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:10]}"


async def _not_found(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return problem(404, "nothing is served at this path with this method")


async def _internal_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return problem(500, "the host failed to handle the request; its log tells why")
