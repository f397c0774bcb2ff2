"""Register the table of routes as HTTP functions. No other handler module imports the platform's types.

The worker serves HTTP itself (`azurefunctions-extensions-http-fastapi`), so that replies can stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

# The Functions worker takes only generics of `typing` in an `Out[...]` (azure-functions-python-worker #1176).
from typing import Any, List  # noqa: UP035

import azure.functions as func
from azurefunctions.extensions.http import fastapi
from starlette.requests import ClientDisconnect

from handlers.http.dispatch import dispatch
from handlers.http.requests import BODY_LIMIT_BYTES, Request, body_cut_short, body_too_large
from handlers.http.responses import Response
from handlers.http.route import AuthScheme, Route
from shared.app import App
from shared.once import Once
from shared.thread_limit import ThreadLimit

CONNECTION = "TrainingStorage"
ADVANCE = "advance"

REQUESTED = "requested"
"""Runs to advance because a caller asked for something, because of a teardown, or because a slot is free: no
routine look is ahead of them."""

_BLOCKING = ThreadLimit(16, "http")
"""Where handlers that block run: they mostly wait for storage."""

DRAINED_BYTES = 16 * BODY_LIMIT_BYTES
"""How much of a body that is too large is still taken, so that its sender gets to read the answer."""

CLIENT_CLOSED_REQUEST = 499
"""For the log alone, as nobody is there to read it; nginx has the number for this."""


def register_routes(app: func.FunctionApp, routes: Iterable[Route], inside: Once[App]) -> None:
    """Declare an HTTP function for each route.

    Args:
        app: The function app.
        routes: The table.
        inside: What answers, built when a request first needs it.
    """
    for route in routes:
        level = func.AuthLevel.FUNCTION if route.auth is AuthScheme.HOST else func.AuthLevel.ANONYMOUS
        function = _advancing(route, inside) if route.advances else _answering(route, inside)
        function.__name__ = route.function
        if route.advances:
            queue = app.queue_output(arg_name="advance", queue_name=REQUESTED, connection=CONNECTION)
            function = queue(function)
        function = app.route(route=route.template, methods=[*route.methods], auth_level=level)(function)
        app.function_name(route.function)(function)


def _answering(route: Route, inside: Once[App]) -> Callable[..., Any]:
    async def answer(req: fastapi.Request, context: func.Context) -> fastapi.Response:
        return render(await _dispatch(route, req, context, inside))

    return answer


def _advancing(route: Route, inside: Once[App]) -> Callable[..., Any]:
    async def answer(
        req: fastapi.Request,
        context: func.Context,
        advance: func.Out[List[str]],  # noqa: UP006
    ) -> fastapi.Response:
        answered = await _dispatch(route, req, context, inside)
        if answered.advance:
            advance.set(list(answered.advance))
        return render(answered)

    return answer


async def _dispatch(route: Route, req: fastapi.Request, context: func.Context, inside: Once[App]) -> Response:
    """Answer a request; a handler that awaits is cancelled when the client leaves."""
    whole = asyncio.Event()

    async def read() -> Request:
        body = await _read_body(req, route.body_limit) if route.request is not None else b""
        whole.set()
        # A parameter that is given twice has a value that none may have, instead of one of the two.
        names = dict.fromkeys(req.query_params)
        query = {name: ",".join(req.query_params.getlist(name)) for name in names}
        return Request(str(req.url), req.path_params, query, req.headers, body)

    def in_thread(work: Callable[[], Response]) -> Awaitable[Response]:
        def of_invocation() -> Response:
            # So that log records of the thread are taken for the invocation's own.
            context.thread_local_storage.invocation_id = context.invocation_id  # type: ignore[attr-defined]
            return work()

        return _BLOCKING.run(of_invocation)

    if route.blocking:
        return await dispatch(route, read, inside, in_thread)
    handling = asyncio.create_task(dispatch(route, read, inside))
    leaving = asyncio.create_task(_client_left(req, whole))
    try:
        await asyncio.wait({handling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await handling if handling.done() else Response(CLIENT_CLOSED_REQUEST, b"")
    finally:
        handling.cancel()
        leaving.cancel()


async def _client_left(req: fastapi.Request, whole: asyncio.Event) -> None:
    # While the body is read, its reader hears of it.
    await whole.wait()
    while (await req.receive())["type"] != "http.disconnect":
        continue


async def _read_body(req: fastapi.Request, limit: int) -> bytes:
    body = bytearray()
    size = 0
    try:
        async for chunk in req.stream():
            size += len(chunk)
            if size > DRAINED_BYTES:
                break
            if size <= limit:
                body += chunk
    except ClientDisconnect as fault:
        raise body_cut_short() from fault
    if size > limit:
        raise body_too_large(limit)
    return bytes(body)


def render(answered: Response) -> fastapi.Response:
    """An answer as the worker's server sends it; a body that is made as it is sent streams."""
    headers = {"Content-Type": answered.content_type, **answered.headers}
    if isinstance(answered.body, bytes):
        return fastapi.Response(answered.body, answered.status, headers)
    return fastapi.StreamingResponse(answered.body, answered.status, headers)
