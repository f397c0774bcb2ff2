"""The tables of routes and triggers as Azure Functions: the one module of handlers that knows its types."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

# The Functions worker takes only generics of `typing` in an `Out[...]` (azure-functions-python-worker #1176).
from typing import Any, List  # noqa: UP035

import azure.functions as func

from handlers.http.dispatch import dispatch
from handlers.http.requests import Request
from handlers.http.responses import Response
from handlers.http.route import AuthScheme, Route
from shared.app import App
from shared.once import Once

CONNECTION = "TrainingStorage"
ADVANCE = "advance"


def register_routes(app: func.FunctionApp, routes: Iterable[Route], inside: Once[App]) -> None:
    """Declare an HTTP function for each route.

    Args:
        app: The function app.
        routes: The table.
        inside: Once[App]s the app's inside when a request first needs it.
    """
    for route in routes:
        level = func.AuthLevel.FUNCTION if route.auth is AuthScheme.HOST else func.AuthLevel.ANONYMOUS
        function = _advancing(route, inside) if route.advances else _answering(route, inside)
        function.__name__ = route.function
        if route.advances:
            function = app.queue_output(arg_name="advance", queue_name=ADVANCE, connection=CONNECTION)(
                function
            )
        function = app.route(route=route.path, methods=[route.method], auth_level=level)(function)
        app.function_name(route.function)(function)


def _answering(route: Route, inside: Once[App]) -> Callable[..., Any]:
    async def answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return _render(await _dispatch(route, req, context, inside))

    return answer


def _advancing(route: Route, inside: Once[App]) -> Callable[..., Any]:
    async def answer(
        req: func.HttpRequest,
        context: func.Context,
        advance: func.Out[List[str]],  # noqa: UP006
    ) -> func.HttpResponse:
        answered = await _dispatch(route, req, context, inside)
        if answered.advance:
            advance.set(list(answered.advance))
        return _render(answered)

    return answer


async def _dispatch(
    route: Route, req: func.HttpRequest, context: func.Context, inside: Once[App]
) -> Response:
    async def read() -> Request:
        return Request(req.url, req.route_params, req.params, req.headers, req.get_body())

    def in_thread(work: Callable[[], Response]) -> Awaitable[Response]:
        def of_invocation() -> Response:
            # So that log records of the thread are taken for the invocation's own.
            context.thread_local_storage.invocation_id = context.invocation_id  # type: ignore[attr-defined]
            return work()

        return asyncio.to_thread(of_invocation)

    return await dispatch(route, read, inside, in_thread)


def _render(answered: Response) -> func.HttpResponse:
    return func.HttpResponse(
        answered.body,
        status_code=answered.status,
        # Not as the media type, to which the worker would add a charset of its own.
        headers={"Content-Type": answered.content_type, **answered.headers},
    )
