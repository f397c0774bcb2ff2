"""A request to its route: the handler runs, and what it raises becomes an answer in the route's form."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from handlers.http.auth import not_available
from handlers.http.errors import problem_of
from handlers.http.openai.errors import openai_error
from handlers.http.requests import Request
from handlers.http.responses import Response
from handlers.http.route import AuthScheme, Build, Route
from shared.app import App
from shared.domain.errors import FinetuneError

NO_STORE = {"Cache-Control": "no-store"}
"""Of every answer that says nothing else: runs, reports and replies are no business of a cache's."""

InThread = Callable[[Callable[[], Response]], Awaitable[Response]]

_log = logging.getLogger(__name__)


async def dispatch(
    route: Route,
    request: Callable[[], Awaitable[Request]],
    build: Build,
    in_thread: InThread = asyncio.to_thread,
) -> Response:
    """Answer a request.

    Args:
        route: The route.
        request: Reads the request, and may refuse it.
        build: The app. While it cannot be built, only callers with a function key are told why.
        in_thread: Runs a handler that blocks.
    """
    open_to_all = route.auth is not AuthScheme.HOST
    app = (lambda: _discreetly(build)) if open_to_all else build
    try:
        asked = await request()
        if route.blocking:
            answered = await in_thread(lambda: route.handle(asked, app))  # type: ignore[return-value,arg-type]
        else:
            answered = await route.handle(asked, app)  # type: ignore[misc]
    except Exception as fault:  # the edge: in Azure the host would answer with nothing that a caller can read
        answered = openai_error(fault) if route.auth is AuthScheme.OWN else problem_of(fault)
    return answered._replace(headers={**NO_STORE, **answered.headers})


def _discreetly(build: Build) -> App:
    try:
        return build()
    except FinetuneError as fault:
        _log.error("the app cannot be built: %s", fault.message)
        raise not_available() from fault
