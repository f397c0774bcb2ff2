"""How long health and the API take to answer while a receiver of webhooks does not answer 24 posts."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobClient

from local.processes import wait_until
from local.settings import ROOT
from local.stack import Stack
from shared.adapters.storage.notification_queue import QUEUE, NotificationQueue
from shared.adapters.storage.queues import open_queue
from shared.config import StorageConnection
from shared.domain.run.notifications import Notification

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
NOTIFICATIONS = 24
REQUESTS = 20
SECONDS = 120.0


def measure_slow_webhooks(_megabytes: int) -> dict[str, Any]:
    """The slowest of some requests, in seconds, with no webhook and with all of them waiting."""
    held, posts = threading.Event(), []
    with (
        tempfile.TemporaryDirectory(prefix="bench-webhooks-") as folder,
        _receiver(held, posts) as url,
        Stack(folder=Path(folder), host="local", settings={"WEBHOOK_URL": url}) as stack,
        stack.client() as api,
    ):
        with BlobClient.from_connection_string(stack.blob_connection_string, "uploads", "slow.jsonl") as blob:
            blob.upload_blob(SAMPLE.read_bytes())

        def live() -> list[dict[str, Any]]:
            return list(api.get("/api/runs", params={"stage": "live"}).json()["runs"])

        if not wait_until(lambda: bool(live()), SECONDS):
            raise TimeoutError("the run did not go live")
        run_id = live()[0]["run_id"]

        def slowest(path: str) -> float:
            times = []
            for _ in range(REQUESTS):
                began = time.perf_counter()
                api.get(path).raise_for_status()
                times.append(time.perf_counter() - began)
            return round(max(times), 3)

        paths = ("/api/health", "/api/runs", f"/api/runs/{run_id}")
        names = [path.replace(run_id, "{id}") for path in paths]
        idle = dict(zip(names, map(slowest, paths), strict=True))
        posts.clear()
        held.set()
        connection = StorageConnection(connection_string=stack.blob_connection_string)
        with open_queue(connection, None, QUEUE) as queue:
            for _ in range(NOTIFICATIONS):
                NotificationQueue(queue).enqueue(Notification(run_id=run_id, index=0), delay=timedelta())
        if not wait_until(lambda: len(posts) > 1, SECONDS):
            raise TimeoutError("no webhook was posted")
        busy = dict(zip(names, map(slowest, paths), strict=True))
        waiting = len(posts)
        held.clear()
    return {"slowest_seconds": {"idle": idle, "beside_slow_webhooks": busy}, "posts_waiting": waiting}


@contextmanager
def _receiver(held: threading.Event, posts: list[str]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            posts.append(self.path)
            while held.is_set():
                time.sleep(0.05)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        held.clear()
        server.shutdown()
        server.server_close()
