"""Handlers as routes have them: what they raise becomes an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from handlers.http.dispatch import dispatch
from handlers.http.requests import Request
from handlers.http.responses import Response
from handlers.http.route import AuthScheme, Route
from handlers.http.routes import ROUTES
from shared.app import App
from shared.config import Settings
from shared.once import Once
from shared.serving.admission import Admission
from shared.serving.canary import CanaryWatch
from shared.serving.endpoint_directory import EndpointDirectory
from tests.app.fakes import World

BY_NAME = {route.function: route for route in ROUTES}


def app_of(world: World, settings: Settings) -> App:
    """The app over a world of fakes."""
    services = world.services
    directory = EndpointDirectory(services)
    admission = Admission(settings.scoring_queue_seconds)
    return App(settings, services, directory, admission, CanaryWatch(services, directory))


async def ask(
    route: Route,
    build: Callable[[], App],
    *,
    path: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Response:
    """Send a request to a route."""

    async def request() -> Request:
        return Request("http://app/api", path or {}, {}, headers or {}, body)

    return await dispatch(route, request, Once(build))


async def respond_async(handle: Callable[[], Awaitable[Response]], auth: AuthScheme = AuthScheme.HOST) -> Any:
    """The answer of a route whose handler is awaited."""
    route = replace(BY_NAME["score"], handle=lambda _request, _app: handle(), auth=auth)
    return await ask(route, _never)


def respond(handle: Callable[[], Response], auth: AuthScheme = AuthScheme.HOST) -> Any:
    """The answer of a route whose handler blocks."""
    route = replace(BY_NAME["get_run"], handle=lambda _request, _app: handle(), auth=auth)
    return asyncio.run(ask(route, _never))


def _never() -> App:
    """An app that no handler asks anything of."""
    return None  # type: ignore[return-value]
