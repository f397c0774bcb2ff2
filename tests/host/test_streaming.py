"""HTTP functions whose worker takes requests itself: keys and routes here, bodies streamed through."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.azurite import Azurite
from local.processes import wait_until
from tests.host.conftest import SECONDS, RunningHost, starter, take


@pytest.fixture(scope="module")
def stream_host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """One host for the module, serving `apps/stream`."""
    with ExitStack() as exits:
        yield starter(azurite, tmp_path_factory.mktemp("stream"), exits)("stream")


def test_a_body_streams_to_the_function(stream_host: RunningHost, tmp_path: Path) -> None:
    """The function has each part of a body before the next one is sent, and its answer is as it made it."""
    seen = tmp_path / "seen"

    def body() -> Iterator[bytes]:
        for word, so_far in ((b"one", b"AdaONE"), (b"two", b"AdaONETWO")):
            yield word
            assert wait_until(lambda: seen.exists() and seen.read_bytes() == so_far, SECONDS)  # noqa: B023

    with stream_host.client(**{"x-functions-key": stream_host.key}) as client:
        answer = client.post("/api/upper/Ada", params={"seen": str(seen)}, content=body())
    assert (answer.status_code, answer.text) == (201, "AdaONETWO")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert len(answer.headers.get_list("date")) == 1


def test_a_client_that_leaves_ends_the_stream(stream_host: RunningHost, tmp_path: Path) -> None:
    """The function's stream is closed, and its `finally` runs."""
    left = tmp_path / "left"
    with (
        stream_host.client(**{"x-functions-key": stream_host.key}) as client,
        client.stream("GET", "/api/endless", params={"left": str(left)}) as answer,
    ):
        ticks = answer.iter_raw()  # kept, since an iterator that is let go closes the connection
        assert next(ticks).startswith(b"tick")
        assert not left.exists()
    assert wait_until(left.exists, SECONDS)


def test_a_client_that_leaves_before_the_answer_is_seen(stream_host: RunningHost, tmp_path: Path) -> None:
    """A function that has not answered yet learns that nobody waits."""
    left = tmp_path / "left"
    address = urlsplit(stream_host.url)
    with socket.create_connection((address.hostname, address.port), timeout=SECONDS) as connection:
        target = f"/api/slow?left={left}&code={stream_host.key}"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        assert wait_until(left.with_suffix(".reached").exists, SECONDS)
    assert wait_until(left.exists, SECONDS)


def test_what_a_request_carries_arrives(stream_host: RunningHost) -> None:
    """Repeated headers, cookies and query arrive as they were sent, and outputs are queued."""
    headers = [("x-functions-key", stream_host.key), ("x-sample", "a"), ("x-sample", "b"), ("cookie", "c=1")]
    with stream_host.client() as client:
        answer = client.post("/api/queued?word=tea&word=", headers=headers, content=b"body")
    assert answer.json() == {"seen": ["a", "b"], "cookies": {"c": "1"}}
    assert sorted(take(stream_host.queue("results"), 2)) == ["", "tea"]


def test_keys_and_failures_are_those_of_the_host(stream_host: RunningHost) -> None:
    """Without a key nothing is passed on; a failure is a 500 without its text, and logged."""
    with stream_host.client() as client:
        assert client.post("/api/queued?word=x").status_code == 401
        assert client.get("/api/unknown").status_code == 404
        answer = client.get("/api/failing", headers={"x-functions-key": stream_host.key})
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    raised = [record for record in stream_host.records() if record["message"] == "Function raised"]
    assert "hunter2" in raised[-1]["error"]
