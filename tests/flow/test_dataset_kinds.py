"""Uploads that would train what nobody meant, and uploads with secrets: over the wire, up to the record."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
import pytest

from shared.adapters.storage.account import CONTAINERS, UPLOADS
from shared.domain.run.stages import Stage
from tests.dataset.checking import assistant, row, user
from tests.flow.conftest import Flow

KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "E401": ({"prompt": "Hi", "chosen": "Hello", "rejected": "No"}, '"preference": "use_chosen"'),
    "E402": ({"messages": [user("Hi"), assistant("Hello")], "images": ["a.png"]}, '"vision": "drop_rows"'),
    "E213": ({"messages": [user("Hi"), assistant("Hello")], "tools": [{}]}, '"tools": "as_text"'),
    "E403": ({"prompt": "[INST] Hi [/INST]", "completion": "Hello"}, '"pretemplated": "strip"'),
    "E404": ({"messages": json.dumps([user("Hi"), assistant("Hello")])}, "write the list itself"),
    "E405": ({"text": "Once upon a time"}, "has no turns"),
    "E406": ({"role": "user", "content": "Hi"}, "put the messages of a conversation in one row"),
    "E215": ({"messages": [user("Hi"), assistant("Hello")], "lang": "de"}, "ignore_keys"),
    "E216": ({"messages": [user("Hi"), {**assistant("Hello"), "weight": 0}]}, "end the conversation"),
    "E217": ({"messages": [user("Hi"), assistant("Hello")], "conversations": [user("Hi")]}, "keep one"),
}
CARD = "4111 1111 1111 1111"


def _rows(count: int) -> list[bytes]:
    mark = uuid.uuid4().hex
    return [row(user(f"What is {mark} {number}?"), assistant(f"It is {number}.")) for number in range(count)]


@pytest.mark.parametrize("code", KINDS)
def test_a_refused_kind_ends_in_rejected_with_the_way_out(flow: Flow, code: str) -> None:
    """Nothing was written for training and nothing submitted; the run says which rows and what to do."""
    odd, way_out = KINDS[code]
    lines = [*_rows(20), json.dumps(odd).encode()]
    run = flow.drive(flow.upload(f"d{uuid.uuid4().hex[:8]}.jsonl", b"\n".join(lines) + b"\n"), Stage.REJECTED)
    assert run.report is not None
    assert code in run.report.reason
    assert way_out in run.report.reason
    assert not list(flow.storage.get_container_client("datasets").list_blob_names())
    assert not flow.calls("PUT", "/jobs/")


@pytest.mark.parametrize(("policy", "end"), [("mask", Stage.LIVE), ("reject", Stage.REJECTED)])
def test_a_secret_is_in_nothing_that_the_app_keeps_or_sends(
    flow: Flow, policy: str, end: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Snapshot, report, page, record, checkpoint, notifications, logs; the upload alone has it."""
    odd = row(user(f"My card is {CARD}."), assistant("Keep it to yourself."))
    flow = flow.configured(sensitive_data=policy, webhook_url="https://example.com/hook")
    caplog.set_level("DEBUG")
    run = flow.drive(flow.upload("cards.jsonl", b"\n".join([*_rows(20), odd]) + b"\n"), end)
    kept = [caplog.text, msgspec.json.encode(run).decode()]
    for container in CONTAINERS:
        if container == UPLOADS:
            continue
        client = flow.storage.get_container_client(container)
        for blob in client.list_blob_names():
            kept.append(client.download_blob(blob).readall().decode(errors="replace"))
    assert not [text for text in kept if CARD in text]
    assert [text for text in kept if "My card is [card number]." in text]
