"""HTTP functions as the worker calls them: bodies within bounds, callers that leave, streams, queued runs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from azurefunctions.extensions.http import fastapi

from handlers.functions import CLIENT_CLOSED_REQUEST, DRAINED_BYTES, register_routes
from handlers.http.requests import BODY_LIMIT_BYTES, Request
from handlers.http.responses import Response, json_response
from handlers.http.route import Build, Route
from shared.once import Once
from tests.app.edge import BY_NAME, app_of
from tests.app.fakes import World
from tests.app.worlds import SETTINGS

SECONDS = 30


class Caller:
    """Sends a request to a function as the worker's server does, and may leave."""

    def __init__(self, route: Route, *body: bytes, query: str = "", whole: bool = True) -> None:
        world = World()
        app = func.FunctionApp()
        register_routes(app, [route], Once(lambda: app_of(world, SETTINGS)))
        (function,) = app.get_functions()
        self.function = function.get_user_function()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.received = 0
        for part in body or (b"",):
            self.messages.put_nowait({"type": "http.request", "body": part, "more_body": True})
        if whole:
            self.messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        scope = {
            "type": "http",
            "method": route.method,
            "path": "/api",
            "raw_path": b"/api",
            "headers": [],
            "query_string": query.encode(),
            "server": ("host", 80),
            "scheme": "http",
            "path_params": {},
        }
        self.request = fastapi.Request(scope, self._receive)
        self.context = SimpleNamespace(invocation_id="the-id", thread_local_storage=threading.local())

    async def _receive(self) -> dict[str, Any]:
        message = await self.messages.get()
        self.received += len(message.get("body", b""))
        return message

    def leave(self) -> None:
        """Close the connection."""
        self.messages.put_nowait({"type": "http.disconnect"})

    async def call(self, **outputs: Any) -> fastapi.Response:
        """What the function answers."""
        async with asyncio.timeout(SECONDS):
            answered: fastapi.Response = await self.function(
                req=self.request, context=self.context, **outputs
            )
            return answered


def echo(request: Request, _app: Build) -> Response:
    """Says how much it was sent."""
    return json_response(200, {"size": len(request.body), "query": request.query})


ECHO = replace(BY_NAME["extend_endpoint"], handle=echo, advances=False)


@pytest.mark.parametrize(
    ("body", "status", "taken"),
    [
        ([b"x" * BODY_LIMIT_BYTES], 200, BODY_LIMIT_BYTES),
        ([b"x" * BODY_LIMIT_BYTES, b"x"], 413, BODY_LIMIT_BYTES + 1),
        ([b"x" * BODY_LIMIT_BYTES] * 40, 413, DRAINED_BYTES + BODY_LIMIT_BYTES),
    ],
)
async def test_a_body_is_read_within_bounds(body: list[bytes], status: int, taken: int) -> None:
    """One that is too large is let run out, so that its sender can read why, but not for ever."""
    caller = Caller(ECHO, *body)
    assert (await caller.call()).status_code == status
    assert caller.received == taken


async def test_a_route_that_takes_no_body_reads_none() -> None:
    """Whatever is sent along."""
    caller = Caller(replace(ECHO, request=None), b"x" * 100)
    assert json.loads(bytes((await caller.call()).body))["size"] == 0
    assert caller.received == 0


async def test_a_body_that_is_cut_short_is_no_error_of_the_server() -> None:
    """Its sender is gone; the log need not show it as a failure."""
    caller = Caller(ECHO, b"half", whole=False)
    caller.leave()
    assert (await caller.call()).status_code == 400


async def test_a_parameter_given_twice_is_none_of_the_two() -> None:
    """So that it is refused, instead of one being ignored."""
    caller = Caller(ECHO, query="limit=1&limit=2&stage=")
    assert json.loads(bytes((await caller.call()).body))["query"] == {"limit": "1,2", "stage": ""}


async def test_a_caller_that_leaves_cancels_what_is_awaited() -> None:
    """Nobody is asked any longer on behalf of nobody."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_request: Request, _app: Build) -> Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    caller = Caller(replace(BY_NAME["score"], handle=wait), b"{}")
    calling = asyncio.create_task(caller.call())
    await asyncio.wait_for(begun.wait(), SECONDS)
    caller.leave()
    assert (await calling).status_code == CLIENT_CLOSED_REQUEST
    assert cancelled.is_set()


async def test_a_body_that_is_made_as_it_is_sent_streams() -> None:
    """With the type and the headers that the handler chose."""

    async def words() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async def stream(_request: Request, _app: Build) -> Response:
        return Response(200, words(), "text/event-stream; charset=utf-8", {"X-Accel-Buffering": "no"})

    answered = await Caller(replace(BY_NAME["score"], handle=stream), b"{}").call()
    assert isinstance(answered, fastapi.StreamingResponse)
    assert [part async for part in answered.body_iterator] == [b"one", b"two"]
    headers = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
    assert headers.items() <= dict(answered.headers).items()
    assert answered.headers["cache-control"] == "no-store"


async def test_what_blocks_runs_in_a_thread_of_the_invocation_and_queues_its_runs() -> None:
    """Its log records are the invocation's, and the event loop goes on meanwhile."""
    seen: list[Any] = []
    caller = Caller(BY_NAME["cancel_run"])

    def cancel(_request: Request, _app: Build) -> Response:
        seen.extend((threading.current_thread(), caller.context.thread_local_storage.invocation_id))
        return json_response(202, {}, advance=("ft-a-0123456789",))

    context = caller.context
    caller = Caller(replace(BY_NAME["cancel_run"], handle=cancel))
    caller.context = context
    queued: list[list[str]] = []
    answered = await caller.call(advance=SimpleNamespace(set=queued.append))
    assert (answered.status_code, queued) == (202, [["ft-a-0123456789"]])
    assert seen[0] is not threading.current_thread()
    assert seen[1] == "the-id"
