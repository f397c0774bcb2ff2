"""A run that cannot go on, through the real host: its message is poison, people see it, and it comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import httpx
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient
from azure.storage.queue import QueueClient, QueueServiceClient, TextBase64EncodePolicy

from local.azurite import ACCOUNT_KEY
from local.processes import wait_until
from local.stack import Stack
from tests.e2e.runs import follow, run_of, sample, upload

POISON = "advance-poison"
SECONDS = 240.0


def test_a_run_whose_message_is_poison_is_seen_and_comes_back(stack: Stack, api: httpx.Client) -> None:
    """Its record is spoilt while it is live; once it is mended, a retry brings the run to its end.

    Messages rest in a poison queue until somebody looks: none has a key, a token or a row.
    """
    rows = sample("poisoned")
    upload(stack, "poisoned.jsonl", rows)
    run_id = run_of(api, "poisoned")
    follow(api, run_id, "live")
    with (
        BlobClient.from_connection_string(stack.blob_connection_string, "runs", f"{run_id}.json") as record,
        queue(stack, "advance") as advance,
        queue(stack, POISON) as poison,
    ):
        whole = record.download_blob().readall()
        write(record, whole[:100], metadata_of(record))
        assert api.delete(f"/api/endpoints/{run_id}").status_code == 409
        advance.send_message(run_id)
        assert wait_until(lambda: run_id in messages(poison), SECONDS), "the message is not poison"
        (seen,) = api.get("/api/runs", params={"attention": "true", "dataset": "poisoned"}).json()["runs"]
        assert seen["run_id"] == run_id
        assert "CorruptRunError" in seen["suspended"]
        rest = everything_queued(stack)
        assert run_id in rest
        told = {turn["content"] for line in rows.splitlines() for turn in json.loads(line)["messages"]}
        for secret in (*told, stack.function_key, ACCOUNT_KEY, "AccountKey", "Bearer", "code="):
            assert secret not in rest, f"{secret[:12]!r}… rests in a queue"

        write(record, whole, metadata_of(record))
    assert api.post(f"/api/runs/{run_id}/retry").status_code == 202
    assert follow(api, run_id, "live")["needs_attention"] is False
    assert api.delete(f"/api/endpoints/{run_id}").status_code == 202
    follow(api, run_id, "deleted")
    (seen,) = api.get("/api/runs", params={"dataset": "poisoned"}).json()["runs"]
    assert seen["suspended"] is None
    assert not seen["needs_attention"]


def queue(stack: Stack, name: str) -> QueueClient:
    """A queue of the data account, in the form that the host reads."""
    return QueueClient.from_connection_string(
        stack.environment["TrainingStorage"], name, message_encode_policy=TextBase64EncodePolicy()
    )


def messages(queue: QueueClient) -> str:
    """All that waits in a queue, decoded or not."""
    try:
        return " ".join(decoded(message.content) for message in queue.peek_messages(32))
    except ResourceNotFoundError:
        return ""


def everything_queued(stack: Stack) -> str:
    """What is in all queues of the account, the app's and the host's, poison and not."""
    with QueueServiceClient.from_connection_string(stack.environment["TrainingStorage"]) as service:
        names = [found.name for found in service.list_queues()]
    assert POISON in names
    found = []
    for name in names:
        with queue(stack, name) as one:
            found.append(messages(one))
    return "\n".join(found)


def decoded(content: str) -> str:
    """A message as it was sent."""
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        return content


def metadata_of(record: BlobClient) -> Mapping[str, str]:
    """The record's index entry, as it is by now."""
    return record.get_blob_properties().metadata


def write(record: BlobClient, body: bytes, metadata: Mapping[str, str]) -> None:
    """Write a record as a hand would, and leave its index entry."""
    record.upload_blob(body, overwrite=True, metadata=dict(metadata))
