"""A sample app that takes HTTP requests in its worker: bodies stream both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import List  # noqa: UP035 - the worker takes no other generics in an `Out`

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="upper/{name}", methods=["POST"])
async def upper(req: Request) -> StreamingResponse:
    """Says the body back in capitals; each part that has come is in the file `seen` before the next."""
    parts = [req.path_params["name"].encode()]
    async for part in req.stream():
        parts.append(part.upper())
        Path(req.query_params["seen"]).write_bytes(b"".join(parts))

    async def said() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return StreamingResponse(said(), status_code=201, media_type="text/event-stream")


@app.route(route="endless", methods=["GET"])
async def endless(req: Request) -> StreamingResponse:
    """Goes on until the caller leaves, and then creates the file `left`."""

    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.05)
        finally:
            Path(req.query_params["left"]).touch()

    return StreamingResponse(ticks())


@app.route(route="slow", methods=["GET"])
async def slow(req: Request) -> Response:
    """Answers nothing before the caller has left, which the file `left` then tells."""
    Path(req.query_params["left"]).with_suffix(".reached").touch()
    while not await req.is_disconnected():
        await asyncio.sleep(0.05)
    Path(req.query_params["left"]).touch()
    return Response("too late")


@app.route(route="failing", methods=["GET"])
async def failing(req: Request) -> Response:
    """Raises."""
    raise RuntimeError("the database password is hunter2")


@app.route(route="queued", methods=["POST"])
@app.queue_output(arg_name="results", queue_name="%PREFIX%-results", connection="SampleStorage")
def queued(req: Request, results: func.Out[List[str]]) -> JSONResponse:  # noqa: UP006
    """Puts what the query says on the queue; runs in the worker's threads."""
    results.set(req.query_params.getlist("word"))
    return JSONResponse({"seen": req.headers.getlist("x-sample"), "cookies": req.cookies})
