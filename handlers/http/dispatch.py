"""Call a route's handler, and turn an exception into an error response in the route's format."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from handlers.http.auth import not_available
from handlers.http.errors import problem_of
from handlers.http.openai.errors import openai_error
from handlers.http.requests import Request
from handlers.http.responses import Response
from handlers.http.route import AuthScheme, Route
from shared.app import App
from shared.domain.errors import FinetuneError
from shared.logs import get_logger
from shared.once import Once

NO_STORE = {"Cache-Control": "no-store"}
"""Unless a response says otherwise: caches must not store runs, reports or replies."""

InThread = Callable[[Callable[[], Response]], Awaitable[Response]]

_log = get_logger(__name__)


async def dispatch(
    route: Route,
    request: Callable[[], Awaitable[Request]],
    app: Once[App],
    in_thread: InThread = asyncio.to_thread,
) -> Response:
    """Answer a request.

    Args:
        route: The route.
        request: Reads the request, and may refuse it.
        app: While it cannot be built, only callers with a function key are told why.
        in_thread: Runs a handler that blocks.
    """
    discreetly = route.auth is not AuthScheme.HOST
    try:
        asked = await request()
        if route.blocking:

            def build() -> App:
                with _discreet(discreetly):
                    return app.get()

            answered = await in_thread(lambda: route.handle(asked, build))  # type: ignore[return-value,arg-type]
        else:
            with _discreet(discreetly):
                built = await app.get_async()
            answered = await route.handle(asked, lambda: built)  # type: ignore[misc]
    except Exception as fault:  # the edge: in Azure the host would answer with nothing that a caller can read
        answered = openai_error(fault) if route.auth is AuthScheme.OWN else problem_of(fault)
    return answered._replace(headers={**NO_STORE, **answered.headers})


@contextmanager
def _discreet(discreetly: bool) -> Iterator[None]:
    try:
        yield
    except FinetuneError as fault:
        if not discreetly:
            raise
        _log.error("the app cannot be built", extra={"code": fault.code, "reason": fault.message})
        raise not_available() from fault
