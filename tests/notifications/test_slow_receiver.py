"""A webhook that does not answer keeps nobody waiting but the notifications that are meant for it."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from local.processes import wait_until
from local.stack import Stack
from shared.adapters.storage.notification_queue import QUEUE, NotificationQueue
from shared.adapters.storage.queues import open_queue
from shared.config import StorageConnection
from shared.domain.run.notifications import Notification
from tests.e2e.runs import SAMPLES, run_of, upload
from tests.live_stack import DATASET, SECRET
from tests.notifications.receiver import Receiver

NOTIFICATIONS = 24
THREADS = 8
SECONDS = 60.0


def test_the_api_answers_while_webhooks_are_slow(tmp_path: Path) -> None:
    """With more posts to make than the worker has threads, health and the API are answered at once."""
    with Receiver() as slow:
        slow.held.set()
        settings = {
            "WEBHOOK_URL": slow.url,
            "WEBHOOK_SECRET": SECRET,
            "PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS),
        }
        with Stack(folder=tmp_path, host="local", settings=settings) as stack, stack.client() as api:
            upload(stack, f"{DATASET}.jsonl", (SAMPLES / "ultrachat-sample.jsonl").read_bytes())
            run_id = run_of(api, DATASET)
            connection = StorageConnection(connection_string=stack.blob_connection_string)
            with open_queue(connection, None, QUEUE) as queue:  # type: ignore[arg-type]
                for _ in range(NOTIFICATIONS):
                    NotificationQueue(queue).enqueue(Notification(run_id=run_id, index=0), delay=timedelta())
            assert wait_until(lambda: len(slow.received) >= THREADS, SECONDS)
            took = {}
            for path in ("/api/health", "/api/runs", f"/api/runs/{run_id}"):
                started = time.monotonic()
                assert api.get(path).status_code == 200
                took[path] = time.monotonic() - started
            slow.release()
        # 0.1 s on an idle machine; a post that was waited for would have lasted ten.
        assert max(took.values()) < 5, took
