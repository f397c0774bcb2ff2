"""Uploads as they really come: each is one run, judged on its final content."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient
from azureml_emulator import INSTANT

from handlers.events.upload_message import handle_upload_message
from handlers.events.upload_renamed import BLOB_RENAMED, handle_upload_renamed
from handlers.timers.reconcile_uploads import reconcile_uploads
from local.azurite import Azurite
from local.blob_versions import SeenBlobs
from local.event_grid import Watcher
from local.processes import wait_until
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.workflow.open_run import take_upload
from tests.flow.conftest import Flow
from tests.flow.test_flow import name, sample

SECONDS = 60.0
SETTLE = 1.0


@dataclass
class Uploader:
    """Event Grid, the queue and the reconciler around the app's handlers, by the real clock.

    Attributes:
        lost: Datasets whose events are lost.
        deaths: How many workers die with a message in hand.
    """

    flow: Flow
    services: Services
    container: ContainerClient
    watcher: Watcher
    queue: QueueClient
    lost: set[str]
    deaths: int = 1

    def deliver(self, request: httpx.Request) -> httpx.Response:
        """Take an event as the blob trigger does."""
        (event,) = json.loads(request.content)
        path = unquote(urlsplit(event["data"]["url"]).path).partition("/uploads/")[2]
        if not any(dataset in path for dataset in self.lost):
            take_upload(path, container="uploads", settings=self.flow.settings, services=self.services)
        return httpx.Response(202)

    def look(self) -> None:
        """Deliver what events and messages there are; a worker that dies leaves its message in the queue."""
        self.watcher.look()
        for message in self.queue.receive_messages(visibility_timeout=1):
            if self.deaths:
                self.deaths -= 1
                continue
            text = base64.b64decode(message.content).decode()
            handle_upload_message(
                text, container="uploads", settings=self.flow.settings, services=self.services
            )
            self.queue.delete_message(message)

    def reconcile(self) -> list[str]:
        """Reconcile once."""
        return reconcile_uploads(container="uploads", settings=self.flow.settings, services=self.services)

    def runs(self, dataset: str) -> list[Run]:
        """The runs of a dataset, the earliest first."""
        entries = [entry for entry in self.services.runs.entries() if entry.dataset == dataset]
        runs = [self.services.runs.load(entry.run_id).run for entry in entries]
        return sorted(runs, key=lambda run: run.opened_at)

    def until(self, condition: Callable[[], bool]) -> None:
        """Go on looking until something is so."""

        def so() -> bool:
            self.look()
            return condition()

        assert wait_until(so, SECONDS)


@pytest.fixture
def uploader(flow: Flow, azurite: Azurite, tmp_path: Path) -> Iterator[Uploader]:
    """An app that lets uploads settle for a second."""
    settled = flow.configured(settle_seconds=SETTLE)
    services = replace(flow.services, now=lambda: datetime.now(UTC))
    with QueueClient.from_connection_string(azurite.connection_string, "uploads") as queue:
        queue.create_queue()
        container = flow.storage.get_container_client("uploads")
        seen = SeenBlobs(tmp_path / "seen.json")
        client = httpx.Client(transport=httpx.MockTransport(lambda request: made.deliver(request)))  # noqa: PLW0108 - made below
        watcher = Watcher(container, "http://webhook.test/", seen, client)
        made = Uploader(settled, services, container, watcher, queue, set())
        yield made
        queue.delete_queue()


def test_whatever_becomes_of_its_events_an_upload_is_one_run(uploader: Uploader) -> None:
    """Lost event, append blob, rename, a folder in any order, a new version within a minute: all at once."""
    uploader.flow.emulator.set_pace(replace(INSTANT, job_queue=3600))
    lost, grown, moved, folder, again = (name() for _ in range(5))
    container, final = uploader.container, {dataset: sample() for dataset in (lost, grown, moved, again)}

    uploader.lost.add(lost)
    container.upload_blob(f"{lost}.jsonl", final[lost])

    log = container.get_blob_client(f"{grown}.jsonl")
    log.create_append_blob()

    container.upload_blob(f"tmp-{moved}/part-0", final[moved])
    renamed = container.get_blob_client(f"{moved}/train.jsonl")
    renamed.start_copy_from_url(container.get_blob_client(f"tmp-{moved}/part-0").url)
    container.delete_blob(f"tmp-{moved}/part-0")
    rename = {"destinationUrl": f"https://account.dfs.core.windows.net/uploads/{moved}/train.jsonl"}
    handle_upload_renamed(
        BLOB_RENAMED,
        rename,
        container="uploads",
        settings=uploader.flow.settings,
        services=uploader.services,
    )

    files = {"train.jsonl": sample(), "validation.jsonl": sample(), "run.json": b'{"force": true}'}
    arriving = random.Random(folder).sample(sorted(files), len(files))
    container.upload_blob(f"{again}.jsonl", sample())
    for part, arrival in enumerate(arriving):
        container.upload_blob(f"{folder}/{arrival}", files[arrival])
        third = len(final[grown]) // 3
        log.append_block(final[grown][part * third : (part + 1) * third if part < 2 else None])
        uploader.look()
    assert uploader.runs(grown) == uploader.runs(folder) == []

    uploader.until(lambda: all(map(uploader.runs, (grown, moved, folder, again))))
    assert uploader.runs(lost) == []
    uploader.reconcile()
    (found,) = uploader.runs(lost)

    (first,) = uploader.runs(again)
    container.upload_blob(f"{again}.jsonl", final[again], overwrite=True)
    uploader.until(lambda: len(uploader.runs(again)) == 2)
    assert uploader.flow.drive(first.run_id, Stage.CANCELED).billable is False
    newest = uploader.runs(again)[-1]

    taken = [found, *(uploader.runs(dataset)[0] for dataset in (grown, moved, folder)), newest]
    for run in taken:
        uploader.flow.drive(run.run_id, Stage.TRAINING)
    jobs = {call.rpartition("/")[2] for call in uploader.flow.calls("PUT", "/jobs/")}
    assert jobs == {run.run_id for run in taken}
    for run in (found, taken[1], taken[2], newest):
        assert run.source.files[0].size == len(final[run.dataset])
    assert [file.path for file in taken[3].source.files] == [
        f"{folder}/train.jsonl",
        f"{folder}/validation.jsonl",
    ]
    assert taken[3].options.force
    assert uploader.reconcile() == []
    assert list(uploader.services.ignored_uploads.entries()) == []
