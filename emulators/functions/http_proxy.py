"""HTTP streaming: requests go to the HTTP server that the worker runs, bodies passed on as they come.

An app that uses `azurefunctions-extensions-http-fastapi` makes its worker name that server's address
(capability `HttpUri`). The invocation still goes to the worker, which brings the two together by a header.
Source: DefaultHttpProxyService,
https://github.com/Azure/azure-functions-host/tree/dev/src/WebJobs.Script.Grpc
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from multidict import CIMultiDict
from starlette.types import Receive, Scope, Send
from yarl import URL

from emulators.functions.logs import adopt_server_logs
from emulators.functions.problems import problem

log = logging.getLogger("host.http")

INVOCATION_HEADER = "x-ms-invocation-id"

HOP_BY_HOP = {
    *("connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
}

ANSWER_SECONDS = 5.0
"""How long the worker's server may still answer after the invocation has failed."""


class HttpProxy:
    """Passes requests on to the worker's HTTP server."""

    def __init__(self, address: str) -> None:
        """Connect to nothing yet; `address` is the capability's value."""
        self._address = address
        self._session: aiohttp.ClientSession | None = None

    async def start(self, seconds: float = 30.0) -> None:
        """Open the connection pool, once the server takes connections.

        Raises:
            TimeoutError: It does not in time.
        """
        url = URL(self._address)
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(url.host, url.port)
                    writer.close()
                    break
                await asyncio.sleep(0.01)
        adopt_server_logs()
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=["accept", "accept-encoding", "content-type", "user-agent"],
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def forward(
        self, scope: Scope, receive: Receive, send: Send, invocation: asyncio.Task[object], invocation_id: str
    ) -> None:
        """Pass one request on and its answer back, both as they come.

        When the client goes away the passing on is cancelled, so that the worker's server sees it go, too.
        """
        exchange = _Exchange(receive, send)
        forwarding = asyncio.create_task(self._exchange(scope, exchange, invocation_id))

        def cancel_late(done: asyncio.Task[object]) -> None:
            if done.cancelled() or done.exception() is not None:
                asyncio.get_running_loop().call_later(ANSWER_SECONDS, forwarding.cancel)

        invocation.add_done_callback(cancel_late)
        leaving = asyncio.create_task(exchange.client_left())
        try:
            await asyncio.wait({forwarding, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = leaving.done()
            for task in (forwarding, leaving):
                task.cancel()
            (failure, _) = await asyncio.gather(forwarding, leaving, return_exceptions=True)
        if left:
            log.info("Client left", extra={"invocation_id": invocation_id})
        elif failure is not None:
            log.warning("Forwarding failed", extra={"invocation_id": invocation_id, "error": repr(failure)})
            if exchange.answered:
                raise ConnectionAbortedError("the worker's answer broke off") from failure
            await problem(502, "the worker gave no answer; the host's log tells why")(scope, receive, send)

    async def _exchange(self, scope: Scope, exchange: _Exchange, invocation_id: str) -> None:
        if self._session is None:
            raise RuntimeError("the proxy is not started")
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        target = (scope["raw_path"].partition(b"?")[0] + query).decode("latin-1")
        headers = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name.decode("latin-1").lower() not in HOP_BY_HOP
        )
        sent = {name.lower() for name, _ in scope["headers"]}
        has_body = b"content-length" in sent or b"transfer-encoding" in sent
        if not has_body:
            exchange.body_read.set()
        headers[INVOCATION_HEADER] = invocation_id
        async with self._session.request(
            scope["method"],
            URL(self._address + target, encoded=True),
            headers=headers,
            data=exchange.body() if has_body else None,
            allow_redirects=False,
        ) as response:
            kept = [
                (name.lower(), value)
                for name, value in response.raw_headers
                if name.decode("latin-1").lower() not in HOP_BY_HOP | {"date"}
            ]
            await exchange.answer({"type": "http.response.start", "status": response.status, "headers": kept})
            async for chunk in response.content.iter_any():
                await exchange.answer({"type": "http.response.body", "body": chunk, "more_body": True})
            await exchange.answer({"type": "http.response.body", "body": b""})


@dataclass(slots=True)
class _Exchange:
    """One request and its answer, as ASGI has them; only one reader receives at a time."""

    receive: Receive
    send: Send
    answered: bool = False
    body_read: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def body(self) -> AsyncIterator[bytes]:
        """The parts of the request's body."""
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                raise ConnectionAbortedError("the client left while it sent its body")
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                break
        self.body_read.set()

    async def client_left(self) -> None:
        """Wait until the client has closed its connection."""
        reading = asyncio.create_task(self.body_read.wait())
        leaving = asyncio.create_task(self.left.wait())
        try:
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            leaving.cancel()
        while not self.left.is_set():
            if (await self.receive())["type"] == "http.disconnect":
                return

    async def answer(self, message: dict[str, object]) -> None:
        """Send a part of the answer."""
        self.answered = True
        await self.send(message)
