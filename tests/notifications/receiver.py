"""A receiver of webhooks on a port of its own, which keeps what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self


class Received(NamedTuple):
    """One request; header names in lower case."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """Listens on 127.0.0.1 while the `with` block lasts.

    Attributes:
        answers: Statuses of the next answers; 204 once they are used up.
        received: Every request, answered with whatever status.
        retry_after: The header of refusals, if there is to be one.
        held: While it is set, requests are kept without an answer, a minute at most.
    """

    answers: list[int] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    retry_after: str | None = None
    url: str = ""
    held: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Answer what is held."""
        self.held.clear()
        self._released.set()

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(headers, body))
                if receiver.held.is_set():
                    receiver._released.wait(60)
                status = receiver.answers.pop(0) if receiver.answers else 204
                self.send_response(status)
                if status >= 400 and receiver.retry_after is not None:
                    self.send_header("Retry-After", receiver.retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks/runs"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
