"""Blob functions: Event Grid's webhook, path patterns, retries, poison, and the watcher that feeds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobBlock, BlobServiceClient, ContainerClient, ContentSettings
from azure.storage.queue import QueueClient, TextBase64DecodePolicy

from emulators.functions.blob_events import POISON_QUEUE, matches
from local.azurite import Azurite
from local.blob_versions import SeenBlobs
from local.event_grid import Troubles, Watcher
from local.processes import wait_until
from tests.host.conftest import SECONDS, RunningHost, make_queue, take

WEBHOOK = "/runtime/webhooks/blobs?functionName=Host.Functions.uploaded"
NOTIFICATION = {"aeg-event-type": "Notification"}


@pytest.fixture(scope="module")
def uploads(work_host: RunningHost) -> Iterator[ContainerClient]:
    """The container that the sample app watches."""
    with BlobServiceClient.from_connection_string(work_host.storage) as service:
        yield service.create_container(f"{work_host.prefix}-uploads")


def event(url: str) -> list[dict[str, Any]]:
    """What Event Grid posts, cut down to what the host reads."""
    return [{"data": {"url": url, "eTag": "0x8D", "blobType": "BlockBlob"}}]


def test_an_event_brings_the_blob_to_its_function(work_host: RunningHost, uploads: ContainerClient) -> None:
    """The webhook answers 202 and the function gets a client of the blob, whatever its name holds."""
    blob = uploads.upload_blob("team a/Größe 100%.jsonl", b"rows")
    with work_host.client() as client:
        assert client.post(WEBHOOK, json=event(blob.url), headers=NOTIFICATION).status_code == 202
    assert json.loads(take(work_host.queue("results"), 1)[0]) == {
        "blob": "team a/Größe 100%.jsonl",
        "content": "rows",
    }


def test_other_paths_and_gone_blobs_are_not_delivered(
    work_host: RunningHost, uploads: ContainerClient
) -> None:
    """Events for blobs outside the path, or deleted since, end without an invocation."""
    uploads.upload_blob("notes.txt", b"")
    with work_host.client() as client:
        for name in ("notes.txt", "gone.jsonl"):
            url = uploads.get_blob_client(name).url
            assert client.post(WEBHOOK, json=event(url), headers=NOTIFICATION).status_code == 202
    assert wait_until(
        lambda: any(record["message"] == "Blob is gone" for record in work_host.records()), SECONDS
    )
    assert any(record["message"] == "Blob does not match the path" for record in work_host.records())


def test_a_failing_blob_function_ends_on_the_poison_queue(
    work_host: RunningHost, uploads: ContainerClient
) -> None:
    """After `poisonBlobThreshold` deliveries the platform's own message stands on its poison queue."""
    blob = uploads.upload_blob("poison.jsonl", b"")
    with QueueClient.from_connection_string(
        work_host.storage, POISON_QUEUE, message_decode_policy=TextBase64DecodePolicy()
    ) as poison:
        make_queue(poison)
        with work_host.client() as client:
            client.post(WEBHOOK, json=event(blob.url), headers=NOTIFICATION)
        assert [json.loads(message) for message in take(poison, 1)] == [
            {
                "Type": "BlobTrigger",
                "FunctionId": "Host.Functions.uploaded",
                "BlobType": "BlockBlob",
                "ContainerName": uploads.container_name,
                "BlobName": "poison.jsonl",
                "ETag": '"0x8D"',
            }
        ]


def test_event_grid_can_subscribe(work_host: RunningHost) -> None:
    """The validation handshake is answered with its code."""
    with work_host.client() as client:
        answer = client.post(
            WEBHOOK,
            json=[{"data": {"validationCode": "512d38b6"}}],
            headers={"aeg-event-type": "SubscriptionValidation"},
        )
    assert answer.json() == {"validationResponse": "512d38b6"}


@pytest.mark.parametrize(
    ("query", "headers", "content", "status"),
    [
        ("", NOTIFICATION, b"[]", 404),
        ("?functionName=Host.Functions.work", NOTIFICATION, b"[]", 404),
        ("?functionName=Host.Functions.uploaded&code=wrong", NOTIFICATION, b"[]", 401),
        ("?functionName=Host.Functions.uploaded", {}, b"[]", 400),
        ("?functionName=Host.Functions.uploaded", NOTIFICATION, b"not json", 400),
        ("?functionName=Host.Functions.uploaded", NOTIFICATION, b'[{"data": {}}]', 400),
        ("?functionName=Host.Functions.uploaded", NOTIFICATION, b'["text"]', 400),
        ("?functionName=Host.Functions.uploaded", NOTIFICATION, b'[{"data": {"url": 7}}]', 400),
    ],
)
def test_what_is_no_event_is_refused(
    work_host: RunningHost, query: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    """Unknown functions, wrong keys and malformed bodies are problems, never failures of the host."""
    with work_host.client() as client:
        answer = client.post(f"/runtime/webhooks/blobs{query}", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "blob", "expected"),
    [
        ("uploads/{name}", "uploads/a.jsonl", True),
        ("uploads/{name}", "uploads/deep/down/a.jsonl", True),
        ("uploads/{name}", "uploads2/a.jsonl", False),
        ("uploads/{name}.csv", "uploads/a.jsonl", False),
        ("uploads/{set}/train.{kind}", "uploads/team/train.jsonl", True),
        ("uploads", "uploads/a", False),
    ],
)
def test_path_patterns(path: str, blob: str, expected: bool) -> None:
    """A pattern's parameters stand for any text, slashes included; all else is literal."""
    container, _, name = blob.partition("/")
    assert matches(path, container, name) is expected


class Webhook:
    """Records what is posted, and answers as it is told."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.posted: list[str] = []
        self.ids: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Take one event."""
        (event,) = json.loads(request.content)
        self.posted.append(event["subject"].rpartition("/")[2])
        self.ids.append(event["id"])
        return httpx.Response(self.statuses.pop(0) if self.statuses else 202)


def watch(container: ContainerClient, webhook: Webhook, state: Path, *trouble: Any) -> Watcher:
    """A watcher whose posts reach the webhook."""
    client = httpx.Client(transport=httpx.MockTransport(webhook))
    return Watcher(container, "http://webhook.test/", SeenBlobs(state), client, *trouble)


@pytest.mark.parametrize("unspellable", ["\ufffe.jsonl", "o\x01.jsonl"])
def test_a_name_that_cannot_be_listed_stops_nobody_elses_events(
    unspellable: str, azurite: Azurite, tmp_path: Path
) -> None:
    """Azurite takes such a blob, and fails to list any beside it from then on."""
    webhook, name = Webhook(), f"unspellable-{ord(unspellable[0])}"
    with ContainerClient.from_connection_string(azurite.connection_string, name, retry_total=0) as container:
        container.create_container()
        for blob in (unspellable, "ok.jsonl", "team a/train.jsonl"):
            container.upload_blob(blob, b"1")
        watcher = watch(container, webhook, tmp_path / "state.json")
        watcher.look()
        container.upload_blob("later.jsonl", b"1")
        watcher.look()
    assert sorted(webhook.posted) == ["later.jsonl", "ok.jsonl", "train.jsonl"]


def test_the_watcher_delivers_each_version_once(azurite: Azurite, tmp_path: Path) -> None:
    """One event for a blob, another when it is overwritten, none for what a watcher before delivered."""
    webhook = Webhook()
    with ContainerClient.from_connection_string(azurite.connection_string, "watched-once") as container:
        container.create_container()
        container.upload_blob("a.jsonl", b"1")
        watcher = watch(container, webhook, tmp_path / "state.json")
        watcher.look()
        watcher.look()
        container.upload_blob("a.jsonl", b"2", overwrite=True)
        watcher.look()
        watch(container, webhook, tmp_path / "state.json").look()
    assert webhook.posted == ["a.jsonl", "a.jsonl"]


def test_the_watcher_tells_of_what_event_grid_tells_of(azurite: Azurite, tmp_path: Path) -> None:
    """Of blobs that are created or overwritten; not of appends, metadata, properties or tiers."""
    webhook = Webhook()
    with ContainerClient.from_connection_string(azurite.connection_string, "watched-operations") as container:
        container.create_container()
        watcher = watch(container, webhook, tmp_path / "state.json")
        blob, log = container.get_blob_client("a.jsonl"), container.get_blob_client("log.jsonl")
        told = (
            lambda: blob.upload_blob(b"one"),
            lambda: blob.upload_blob(b"two", overwrite=True),
            lambda: (blob.stage_block("AAAA", b"two"), blob.commit_block_list([BlobBlock("AAAA")])),
            lambda: (blob.stage_block("AAAB", b"owt"), blob.commit_block_list([BlobBlock("AAAB")])),
            log.create_append_blob,
        )
        untold = (
            lambda: log.append_block(b"one"),
            lambda: blob.stage_block("AAAC", b"three"),
            lambda: blob.set_blob_metadata({"team": "a"}),
            lambda: blob.set_http_headers(ContentSettings(content_type="application/jsonl")),
            lambda: blob.set_standard_blob_tier("Cool"),
        )
        for operation in told:
            operation()
            watcher.look()
        posted = list(webhook.posted)
        for operation in untold:
            operation()
            watcher.look()
            watch(container, webhook, tmp_path / "state.json").look()
    assert posted == ["a.jsonl"] * 4 + ["log.jsonl"]
    assert webhook.posted == posted


def test_the_watcher_can_be_as_bad_as_event_grid(azurite: Azurite, tmp_path: Path) -> None:
    """Events are lost for good, come twice under one id, or come late."""
    with ContainerClient.from_connection_string(azurite.connection_string, "watched-trouble") as container:
        container.create_container()
        container.upload_blob("a.jsonl", b"1")
        for name, troubles, looks in (
            ("lost", Troubles(losses=1.0), []),
            ("twice", Troubles(duplicates=1.0), ["a.jsonl", "a.jsonl"]),
            ("late", Troubles(delay=3600.0), []),
        ):
            webhook = Webhook()
            watcher = watch(container, webhook, tmp_path / name, troubles, lambda: 0.5)
            for _ in range(3):
                watcher.look()
            assert webhook.posted == looks
            assert len(set(webhook.ids)) == min(1, len(looks))
            watch(container, webhook, tmp_path / name).look()
            # What was lost is lost for the next watcher, too; what was only late is not.
            assert webhook.posted == (["a.jsonl"] if name == "late" else looks)


def test_the_watcher_tries_until_it_is_accepted(azurite: Azurite, tmp_path: Path) -> None:
    """A webhook that fails gets the event again, and a stuck one holds up no other blob."""
    webhook = Webhook(503, 202, 500)
    with ContainerClient.from_connection_string(azurite.connection_string, "watched-again") as container:
        container.create_container()
        container.upload_blob("a.jsonl", b"1")
        container.upload_blob("b.jsonl", b"1")
        watcher = watch(container, webhook, tmp_path / "state.json")

        def settled() -> bool:
            watcher.look()
            return len(webhook.posted) >= 4

        assert wait_until(settled, SECONDS)
        watcher.look()
    assert sorted(webhook.posted) == ["a.jsonl", "a.jsonl", "a.jsonl", "b.jsonl"]
    assert webhook.posted[:2] == ["a.jsonl", "b.jsonl"]
