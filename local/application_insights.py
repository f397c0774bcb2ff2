"""Application Insights, as far as an exporter sees it: takes what is sent, and keeps it to be looked at.

It speaks the ingestion API (`/v2.1/track`) and answers live metrics' pings (`QuickPulseService.svc`) with
"nobody looks on", as Azure does while the portal's live view is closed.
"""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

TRACK = "/v2.1/track"
PING = "/QuickPulseService.svc/ping"
LOG_TYPES = frozenset({"MessageData", "ExceptionData"})
SPAN_TYPES = frozenset({"RemoteDependencyData", "RequestData"})

Item = dict[str, Any]
"""One telemetry item as it is sent: `{"time", "name", "tags", "data": {"baseType", "baseData"}}`."""


class Post(NamedTuple):
    """One request of an exporter.

    Attributes:
        path: Path of the request, without its query.
        size: Bytes of the body as they were sent, compressed or not.
        items: The telemetry items in it; none in a ping.
    """

    path: str
    size: int
    items: tuple[Item, ...]


class ApplicationInsights:
    """A sink on 127.0.0.1; leaving the context stops it."""

    def __init__(self) -> None:
        self._posts: list[Post] = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="application-insights")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def settings(self) -> dict[str, str]:
        """App settings with which the Functions worker exports to here, and to nowhere else."""
        url = f"http://127.0.0.1:{self._server.server_port}/"
        return {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": (
                f"InstrumentationKey={uuid.UUID(int=1)};IngestionEndpoint={url};LiveEndpoint={url}"
            ),
            "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true",
        }

    @property
    def posts(self) -> tuple[Post, ...]:
        """Every request so far."""
        with self._arrived:
            return tuple(self._posts)

    def items(self, *types: str) -> list[Item]:
        """The telemetry items so far, of the given base types if any are given."""
        found = [item for post in self.posts for item in post.items]
        return [item for item in found if not types or item["data"]["baseType"] in types]

    def wait_for(self, check: Callable[[], bool], seconds: float) -> bool:
        """Whether `check` holds, looked at again whenever something arrives, for so many seconds."""
        with self._arrived:
            return self._arrived.wait_for(check, seconds)

    def _take(self, path: str, body: bytes, encoding: str) -> int:
        text = gzip.decompress(body) if encoding == "gzip" else body
        items = tuple(_items(text)) if path == TRACK else ()
        with self._arrived:
            self._posts.append(Post(path, len(body), items))
            self._arrived.notify_all()
        return len(items)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Take what is sent."""
                path = self.path.partition("?")[0].replace("//", "/")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                count = take(path, body, self.headers.get("Content-Encoding", ""))
                answer = {"itemsReceived": count, "itemsAccepted": count, "errors": []}
                content = json.dumps(answer).encode() if path == TRACK else b""
                self.send_response(200 if path in {TRACK, PING} else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                if path == PING:
                    self.send_header("x-ms-qps-subscribed", "false")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing on standard error."""

        return Handler


def _items(text: bytes) -> Iterator[Item]:
    """The items of a body: a JSON array, or JSON lines."""
    if text.lstrip().startswith(b"["):
        yield from json.loads(text)
    else:
        for line in text.split(b"\n"):
            if line.strip():
                yield json.loads(line)
