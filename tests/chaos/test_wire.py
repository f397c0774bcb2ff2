"""What the wire does to a call, for each of the clients that the app has under its SDKs."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from chaos.wire import FaultKind

ROOT = Path(__file__).parents[2]
CLIENT = Path(__file__).with_name("wire_client.py")
BODY = b'{"answer": "' + b"x" * 40_000 + b'"}'


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    served: list[str]
    authority: str

    def handle_error(self, *_: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.served.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(client: str, tmp_path: Path) -> Iterator[_Server]:
    """A server that remembers what reached it; for the one that does not wait, over TLS."""
    running = _Server(("127.0.0.1", 0), _Handler)
    running.served, running.authority = [], ""
    if client == "aiohttp":
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        running.authority = str(tmp_path / "ca.pem")
        authority.cert_pem.write_to_path(running.authority)
        running.socket = context.wrap_socket(running.socket, server_side=True)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def _call(server: _Server, client: str, fault: FaultKind) -> tuple[int, dict[str, Any]]:
    """Two calls in a process of their own, the second in fault; its exit code and what it said."""
    scheme = "https" if server.authority else "http"
    url = f"{scheme}://127.0.0.1:{server.server_port}"
    command = [sys.executable, str(CLIENT), client, url, fault.value, server.authority]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode in (0, -9), done.stderr
    said = done.stdout.strip().splitlines()
    return done.returncode, json.loads(said[-1]) if said else {}


@pytest.mark.parametrize("client", ["requests", "aiohttp"])
@pytest.mark.parametrize(
    ("fault", "served", "code", "seen"),
    [
        (FaultKind.KILL_BEFORE, 1, -9, {}),
        (FaultKind.KILL_AFTER, 2, -9, {}),
        (FaultKind.RESET, 1, 0, {"error": "connection"}),
        (FaultKind.LOST, 2, 0, {"error": "connection"}),
        (FaultKind.TIMEOUT, 2, 0, {"error": "timeout"}),
        (FaultKind.STATUS, 1, 0, {"status": 429, "retry_after": "7", "bytes": 2}),
        (FaultKind.SLOW, 2, 0, {"status": 200, "retry_after": None, "bytes": len(BODY)}),
    ],
)
def test_trouble_is_what_it_says(
    server: _Server, client: str, fault: FaultKind, served: int, code: int, seen: dict[str, Any]
) -> None:
    """Whether the request arrives, whether the process lives, and what the caller is told at once."""
    if client == "aiohttp" and fault is FaultKind.TIMEOUT:
        # Sockets of an event loop do not time out.
        seen = {"error": "connection"}
    assert _call(server, client, fault) == (code, seen)
    assert len(server.served) == served
