"""HTTP streaming: requests go to the HTTP server that the worker runs, bodies passed on as they come.

An app that uses `azurefunctions-extensions-http-fastapi` makes its worker name that server's address
(capability `HttpUri`). The invocation still goes to the worker, which brings the two together by a header.
Source: DefaultHttpProxyService,
https://github.com/Azure/azure-functions-host/tree/dev/src/WebJobs.Script.Grpc
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import aiohttp
from multidict import CIMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from yarl import URL

from emulators.functions import UnservableAppError
from emulators.functions.logs import adopt_server_logs

log = logging.getLogger("host.http")

INVOCATION_HEADER = "x-ms-invocation-id"
HOP_BY_HOP = {
    *("connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
}
KEEP_SECONDS = 3.0
"""How long an idle connection is kept: the worker's server closes its own after 5 s, and a request that meets
that moment gets no answer."""
ANSWER_SECONDS = 5.0
"""How long the worker's server may still answer after the invocation has failed."""


class HttpProxy:
    """Passes requests on to the worker's HTTP server."""

    _session: aiohttp.ClientSession

    def __init__(self, address: str) -> None:
        """Connect to nothing yet; `address` is the capability's value."""
        self._address = address

    async def start(self, seconds: float = 30.0) -> None:
        """Open the connection pool, once the server takes connections.

        Raises:
            UnservableAppError: It does not in time.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while not await _takes_connections(URL(self._address)):
            if asyncio.get_running_loop().time() > deadline:
                raise UnservableAppError(f"the worker's server at {self._address} takes no connections")
            await asyncio.sleep(0.01)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=["accept", "accept-encoding", "content-type", "user-agent"],
        )
        adopt_server_logs()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
        # The worker's server is ended with the event loop, and would log that as a failure.
        logging.getLogger("uvicorn.error").disabled = True

    async def forward(
        self, request: Request, invocation: asyncio.Task[object], invocation_id: str
    ) -> Response:
        """Pass on a request, whose body has not been read; the answer's body comes as the worker sends it.

        When the client leaves, the request to the worker ends, too, so that the function can see it.

        Raises:
            HTTPException: 502; the worker did not answer.
        """
        body_sent = asyncio.Event()
        sending = asyncio.create_task(self._send(request, invocation_id, body_sent))
        leaving = asyncio.create_task(_client_left(request, body_sent))

        def cancel_late(invocation: asyncio.Task[object]) -> None:
            if invocation.cancelled() or invocation.exception() is not None:
                asyncio.get_running_loop().call_later(ANSWER_SECONDS, sending.cancel)

        invocation.add_done_callback(cancel_late)
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            sending.cancel()
        leaving.cancel()
        outcome, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(outcome, BaseException):
            log.warning("Forwarding failed", extra={"invocation_id": invocation_id, "error": repr(outcome)})
            raise HTTPException(502, "the worker gave no answer; the host's log tells why")
        response = StreamingResponse(_chunks(outcome), outcome.status)
        response.raw_headers = [
            (name.lower(), value)
            for name, value in outcome.raw_headers
            if name.decode("latin-1").lower() not in HOP_BY_HOP | {"date"}
        ]
        return response

    async def _send(
        self, request: Request, invocation_id: str, body_sent: asyncio.Event
    ) -> aiohttp.ClientResponse:
        async def body() -> AsyncIterator[bytes]:
            async for chunk in request.stream():
                yield chunk
            body_sent.set()

        has_body = bool({"content-length", "transfer-encoding"} & set(request.headers))
        if not has_body:
            body_sent.set()
        query = b"?" + request.scope["query_string"] if request.scope["query_string"] else b""
        target = request.scope["raw_path"].partition(b"?")[0] + query
        headers = CIMultiDict(
            (name, text) for name, text in request.headers.items() if name not in HOP_BY_HOP
        )
        headers[INVOCATION_HEADER] = invocation_id
        return await self._session.request(
            request.method,
            URL(self._address + target.decode("latin-1"), encoded=True),
            headers=headers,
            data=body() if has_body else None,
            allow_redirects=False,
        )


async def _takes_connections(url: URL) -> bool:
    try:
        _, writer = await asyncio.open_connection(url.host, url.port)
    except OSError:
        return False
    writer.close()
    return True


async def _client_left(request: Request, body_sent: asyncio.Event) -> None:
    """Wait until the client has closed its connection; before its body is sent, the body's reader sees it."""
    await body_sent.wait()
    with contextlib.suppress(ClientDisconnect):
        while (await request.receive())["type"] != "http.disconnect":
            continue


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    finally:
        response.close()
