"""What the app's connections to an endpoint look like from the endpoint's side."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import pytest
import trustme
from azure.core.credentials import AccessToken

from shared.adapters.azureml.scoring import EndpointScoring
from shared.domain.errors import ScoringError
from shared.domain.serving.chat import Upstream
from shared.ports import ScoringTarget
from tests.app.builders import SERVING

BURST = 128
ANSWER = b'{"output": "Hi"}'
ASK = Upstream("/score", {}, {})
SECONDS = 30


class Tokens:
    """A credential, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Always the same."""
        self.asked += 1
        return AccessToken("token", 2**31)


class Endpoint:
    """A server that answers once so many requests are waiting for it.

    Attributes:
        together: How many.
        connections: Connections so far.
        uri: Where to score.
    """

    def __init__(self, together: int) -> None:
        self.together = together
        self.connections = 0
        self.uri = ""
        self._waiting = 0
        self._met = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self.connections += 1
        peer = h11.Connection(h11.SERVER)
        while data := await reader.read(65_536):
            peer.receive_data(data)
            while (event := peer.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.EndOfMessage):
                    await self._meet()
                    length = ("Content-Length", str(len(ANSWER)))
                    events = (
                        h11.Response(status_code=200, headers=[length]),
                        h11.Data(ANSWER),
                        h11.EndOfMessage(),
                    )
                    writer.write(b"".join(peer.send(each) or b"" for each in events))
                    peer.start_next_cycle()
        writer.close()

    async def _meet(self) -> None:
        self._waiting += 1
        if self._waiting >= self.together:
            self._met.set()
        await self._met.wait()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS, whose authority is trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@asynccontextmanager
async def scoring_on(
    endpoint: Endpoint | Teller, tls: ssl.SSLContext, tokens: Tokens | None = None
) -> AsyncIterator[tuple[EndpointScoring, ScoringTarget]]:
    """The real adapter, and the endpoint as its target."""
    scoring = EndpointScoring(tokens or Tokens(), None, domain="127.0.0.1")  # type: ignore[arg-type]
    async with await asyncio.start_server(endpoint.serve, "127.0.0.1", 0, ssl=tls, backlog=BURST) as server:
        port = server.sockets[0].getsockname()[1]
        yield scoring, ScoringTarget("ft-support", f"https://127.0.0.1:{port}/score", "aad_token", SERVING)
        await scoring.close()


async def test_requests_one_after_the_other_share_a_connection(tls: ssl.SSLContext) -> None:
    """Only the first pays for opening it."""
    endpoint = Endpoint(together=1)
    async with scoring_on(endpoint, tls) as (scoring, target):
        for _ in range(20):
            assert await scoring.score_async(target, ASK) == {"output": "Hi"}
    assert endpoint.connections == 1


async def test_no_request_queues_behind_another(tls: ssl.SSLContext) -> None:
    """The endpoint answers nobody until all are there: if one waited for another, none would be answered."""
    endpoint = Endpoint(together=BURST)
    async with scoring_on(endpoint, tls) as (scoring, target):
        async with asyncio.timeout(300):
            answers = await asyncio.gather(*(scoring.score_async(target, ASK) for _ in range(BURST)))
    assert answers == [{"output": "Hi"}] * BURST
    assert endpoint.connections == BURST


async def test_the_next_burst_finds_the_connections_of_the_last(tls: ssl.SSLContext) -> None:
    """A burst is not paid for twice."""
    endpoint = Endpoint(together=BURST)
    async with scoring_on(endpoint, tls) as (scoring, target):
        for _ in range(2):
            await asyncio.gather(*(scoring.score_async(target, ASK) for _ in range(BURST)))
    assert endpoint.connections == BURST


async def test_a_burst_signs_in_once(tls: ssl.SSLContext) -> None:
    """However many requests find no credential, or one that has expired."""
    endpoint, tokens = Endpoint(together=BURST), Tokens()
    async with scoring_on(endpoint, tls, tokens) as (scoring, target):
        await asyncio.gather(*(scoring.score_async(target, ASK) for _ in range(BURST)))
    assert tokens.asked == 1


async def test_an_answer_without_end_is_not_read_to_its_end(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an endpoint sends cannot fill the app's memory."""
    monkeypatch.setattr("shared.adapters.azureml.scoring.ANSWER_LIMIT_BYTES", len(ANSWER) - 1)
    async with scoring_on(Endpoint(together=1), tls) as (scoring, target):
        with pytest.raises(ScoringError) as caught:
            await scoring.score_async(target, ASK)
    assert (caught.value.status, caught.value.code) == (502, "AnswerTooLarge")


class Teller:
    """A server that says each part of its answer when it is told to, and knows when nobody listens."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.left = asyncio.Event()
        self.paths: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; None ends the answer, and empty bytes break it off."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.paths.append(head.split()[1])
        writer.write(
            f"HTTP/1.1 {self.status} X\r\nTransfer-Encoding: chunked\r\nRetry-After: 7\r\n\r\n".encode()
        )
        telling = asyncio.create_task(self._tell(writer))
        while await reader.read(65_536):
            continue
        self.left.set()
        telling.cancel()
        writer.close()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        while part := await self.parts.get():
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
        if part is None:
            writer.write(b"0\r\n\r\n")
        else:
            writer.close()


async def test_a_stream_is_passed_on_as_it_comes(tls: ssl.SSLContext) -> None:
    """The first part is here before the second is said, and the route's own path was asked."""
    teller = Teller()
    async with scoring_on(teller, tls) as (scoring, target), asyncio.timeout(SECONDS):
        chunks = scoring.stream(target, ASK._replace(path="/v1/chat/completions"))
        for part in (b"one", b"two"):
            await teller.parts.put(part)
            assert await anext(chunks) == part
        await teller.parts.put(None)
        assert [chunk async for chunk in chunks] == []
    assert teller.paths == ["/v1/chat/completions"]


async def test_a_stream_that_is_closed_ends_the_request(tls: ssl.SSLContext) -> None:
    """The endpoint sees its connection go, and can stop generating."""
    teller = Teller()
    async with scoring_on(teller, tls) as (scoring, target), asyncio.timeout(SECONDS):
        chunks = scoring.stream(target, ASK)
        await teller.parts.put(b"one")
        await anext(chunks)
        assert not teller.left.is_set()
        await chunks.aclose()
        await teller.left.wait()


async def test_a_request_that_is_cancelled_ends(tls: ssl.SSLContext) -> None:
    """Also one whose answer is wanted whole, and has not come yet."""
    teller = Teller()
    async with scoring_on(teller, tls) as (scoring, target), asyncio.timeout(SECONDS):
        asking = asyncio.create_task(scoring.score_async(target, ASK))
        while not teller.paths:
            await asyncio.sleep(0)
        asking.cancel()
        await teller.left.wait()


async def test_a_stream_that_breaks_off_says_so(tls: ssl.SSLContext) -> None:
    """It is no end of the reply."""
    teller = Teller()
    async with scoring_on(teller, tls) as (scoring, target), asyncio.timeout(SECONDS):
        chunks = scoring.stream(target, ASK)
        for part in (b"one", b""):
            await teller.parts.put(part)
        assert await anext(chunks) == b"one"
        with pytest.raises(ScoringError) as caught:
            await anext(chunks)
    assert (caught.value.status, caught.value.code) == (502, "StreamBroken")


async def test_a_refused_stream_is_an_error_before_its_first_byte(tls: ssl.SSLContext) -> None:
    """With the status and the pause of any other refusal."""
    teller = Teller(status=429)
    async with scoring_on(teller, tls) as (scoring, target), asyncio.timeout(SECONDS):
        with pytest.raises(ScoringError) as caught:
            await anext(scoring.stream(target, ASK))
    assert (caught.value.status, caught.value.retry_after) == (429, 7.0)
