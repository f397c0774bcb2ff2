"""`/admin`: the host's state, and invoking a function that no HTTP request triggers.

Source: https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulators.functions.bindings import (
    DeliveredMessage,
    TriggerValue,
    blob_client,
    event_grid_event,
    queue_message,
    timer_request,
)
from emulators.functions.indexing import Function
from emulators.functions.invocation import InvocationError, Invoker
from emulators.functions.requests import BodyTooLargeError, Keys, problem, read_body

log = logging.getLogger("host.admin")


class Admin:
    """The endpoints under `/admin`; every one needs the master key."""

    def __init__(self, functions: Sequence[Function], host_id: str, keys: Keys, invoker: Invoker) -> None:
        """Take what the endpoints show and run."""
        self._functions = {function.name.lower(): function for function in functions}
        self._host_id = host_id
        self._keys = keys
        self._invoker = invoker
        self._started = datetime.now(UTC)
        self.in_work: set[asyncio.Task[None]] = set()

    async def status(self, request: Request) -> Response:
        """`GET /admin/host/status`."""
        if not self._keys.allows("ADMIN", request):
            return _unauthorized()
        uptime = datetime.now(UTC) - self._started
        return JSONResponse(
            {"id": self._host_id, "state": "Running", "processUptime": round(uptime.total_seconds() * 1000)}
        )

    async def list_functions(self, request: Request) -> Response:
        """`GET /admin/functions`."""
        if not self._keys.allows("ADMIN", request):
            return _unauthorized()
        return JSONResponse(
            [
                {"name": function.name, "trigger": function.trigger.type}
                for function in self._functions.values()
            ]
        )

    async def invoke(self, request: Request) -> Response:
        """`POST /admin/functions/{name}` with `{"input": text}`: 202, then the function runs."""
        if not self._keys.allows("ADMIN", request):
            return _unauthorized()
        function = self._functions.get(request.path_params["name"].lower())
        if function is None:
            return problem(404, "the app has no function of this name")
        try:
            body = json.loads(await read_body(request))
            value = _value(function, str(body.get("input") or ""))
        except BodyTooLargeError as error:
            return problem(413, str(error))
        except (ValueError, AttributeError) as error:
            return problem(400, f'the body must be {{"input": "…"}}: {error}')
        self._start(self._invoke(function, value))
        return Response(status_code=202)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.in_work.add(task)
        task.add_done_callback(self.in_work.discard)

    async def _invoke(self, function: Function, value: TriggerValue) -> None:
        try:
            await self._invoker.invoke(function, value)
        except InvocationError:
            log.info("Invocation on request failed", extra={"function": function.name})


def _value(function: Function, text: str) -> TriggerValue:
    match function.trigger.type:
        case "timerTrigger":
            return timer_request(past_due=False)
        case "queueTrigger":
            return queue_message(DeliveredMessage(str(uuid.uuid4()), text, dequeue_count=1, pop_receipt=""))
        case "blobTrigger":
            container, _, name = text.partition("/")
            if not name:
                raise ValueError("a blob function's input is container/name")
            return blob_client(function, container, name)
        case "eventGridTrigger":
            return event_grid_event(json.loads(text))
    raise ValueError("an HTTP function is called at its own route")


def _unauthorized() -> Response:
    return problem(401, "the master key is needed, as the x-functions-key header or the code parameter")
