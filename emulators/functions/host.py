"""One running host: everything that serves an app, put together, started and stopped."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from azure.storage.queue import QueueMessage
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from emulators.functions.bindings import queue_message, timer_request
from emulators.functions.blob_events import POISON_QUEUE, BlobEvents
from emulators.functions.event_grid import EventGridEvents
from emulators.functions.host_json import Blobs, HostJson
from emulators.functions.http_functions import HttpFunctions
from emulators.functions.http_proxy import HttpProxy
from emulators.functions.indexing import Function, enabled_functions
from emulators.functions.invocation import InvocationError, Invoker
from emulators.functions.queue_listener import QueueListener
from emulators.functions.storage import HOST_CONNECTION, Storage
from emulators.functions.timers import Timer
from emulators.functions.worker import Worker


class FunctionHost:
    """Serves the functions of one app."""

    def __init__(
        self, worker: Worker, host_json: HostJson, settings: Mapping[str, str], key: str, *, lease: float
    ) -> None:
        """Put the host together; nothing is contacted before `start`.

        Args:
            worker: Has indexed the app.
            host_json: The app's.
            settings: The app settings.
            key: What callers have to present.
            lease: Seconds until a message is delivered again whose host has died.

        Raises:
            UnservableAppError: A function, a schedule or a connection string is not as it should be.
        """
        functions: defaultdict[str, list[Function]] = defaultdict(list)
        for function in enabled_functions(worker.functions, settings):
            functions[function.trigger.type].append(function)
        extensions, address = host_json.extensions, worker.capabilities.get("HttpUri")
        self._worker = worker
        self._rules, self._lease = extensions.queues, lease
        self._proxy = HttpProxy(address) if address else None
        self._storage = Storage(settings, encode=self._rules.message_encoding == "base64")
        self._invoker = invoker = Invoker(worker, self._storage, timeout=host_json.function_timeout)
        prefix = extensions.http.route_prefix
        self._http = HttpFunctions(functions["httpTrigger"], prefix, key, invoker, self._proxy)
        self._events = EventGridEvents(functions["eventGridTrigger"], key, invoker)
        self._blobs = BlobEvents(functions["blobTrigger"], self._storage, _blob_queue(settings), key, invoker)
        self._timers = [self._timer(function) for function in functions["timerTrigger"]]
        self._listeners = [self._queue_listener(function) for function in functions["queueTrigger"]]
        if functions["blobTrigger"]:
            self._listeners.append(self._blob_listener(_blob_queue(settings), extensions.blobs))
        self._tasks: list[asyncio.Task[None]] = []

    def application(self) -> Starlette:
        """The ASGI application of the host."""
        application = Starlette(
            routes=[
                Route("/runtime/webhooks/blobs", self._blobs.webhook, methods=["POST"]),
                Route("/runtime/webhooks/eventgrid", self._events.webhook, methods=["POST"]),
            ],
            exception_handlers=dict.fromkeys((HTTPException, InvocationError, Exception), _problem),
        )
        # Not a route: Starlette's patterns match no path that has a line feed in it, as %0A.
        application.router.default = self._serve_app
        return application

    async def start(self) -> None:
        """Listen on the queues and start the timers.

        Raises:
            UnservableAppError: The worker's HTTP server does not start.
        """
        if self._proxy is not None:
            await self._proxy.start()
        runs = [listener.run() for listener in self._listeners] + [timer.run() for timer in self._timers]
        self._tasks = [asyncio.create_task(run) for run in runs]

    async def stop(self, grace: float) -> bool:
        """Take no more work and wait for what is in work, `grace` seconds at most.

        Returns:
            Whether everything ended in time. What did not is delivered again once its lease runs out.
        """
        in_work: set[asyncio.Task[Any]] = {*self._tasks, *self._http.in_work}
        for listener in self._listeners:
            listener.stop()
            in_work |= listener.in_work
        for task in self._tasks[len(self._listeners) :]:
            task.cancel()
        pending: set[asyncio.Task[Any]] = set()
        if in_work:
            _, pending = await asyncio.wait(in_work, timeout=grace)
        for task in pending:
            task.cancel()
        self._worker.close()
        if self._proxy is not None:
            await self._proxy.close()
        return not pending

    async def _serve_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await self._http.answer(Request(scope, receive))
            await response(scope, receive, send)

    def _queue_listener(self, function: Function) -> QueueListener:
        async def handle(message: QueueMessage, body: str) -> None:
            await self._invoker.invoke(function, queue_message(message, body))

        connection, name = function.trigger.text("connection"), function.trigger.text("queueName")
        queue, poison = (self._storage.queue(connection, each) for each in (name, f"{name}-poison"))
        return QueueListener(self._storage, queue, poison, self._rules, self._lease, handle)

    def _blob_listener(self, name: str, blobs: Blobs) -> QueueListener:
        rules = msgspec.structs.replace(
            self._rules,
            batch_size=min(32, blobs.max_degree_of_parallelism),
            new_batch_threshold=blobs.max_degree_of_parallelism - 1,
            max_dequeue_count=blobs.poison_blob_threshold,
        )
        queue, poison = (self._storage.queue(HOST_CONNECTION, each) for each in (name, POISON_QUEUE))
        return QueueListener(self._storage, queue, poison, rules, self._lease, self._blobs.process)

    def _timer(self, function: Function) -> Timer:
        async def fire(past_due: bool) -> None:
            await self._invoker.invoke(function, timer_request(past_due=past_due))

        return Timer(function.name, function.trigger.text("schedule"), fire)


def _blob_queue(settings: Mapping[str, str]) -> str:
    return f"azure-webjobs-blobtrigger-{settings.get('AzureFunctionsWebHost__hostid', 'local')}"


async def _problem(_request: Request, error: Exception) -> Response:
    """An answer as in RFC 9457 that says what was wrong, and never how it looks inside."""
    status, detail = 500, "the host failed to handle the request; its log tells why"
    if isinstance(error, HTTPException):
        # The platform knows no 405: https://github.com/Azure/azure-functions-host/issues/10098
        status, detail = 404 if error.status_code == 405 else error.status_code, error.detail
    elif isinstance(error, InvocationError):
        detail = f"{error}; the host's log tells why"
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, media_type="application/problem+json")
