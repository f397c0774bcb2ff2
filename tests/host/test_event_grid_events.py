"""Event Grid functions: their webhook, the events they see, and failures that ask for another delivery."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.host.conftest import RunningHost, take

WEBHOOK = "/runtime/webhooks/eventgrid?functionName=heard"
NOTIFICATION = {"aeg-event-type": "Notification"}


def event(kind: str, number: int = 1) -> dict[str, Any]:
    """An event in the Event Grid schema."""
    return {
        "id": str(number),
        "topic": "/subscriptions/1",
        "subject": f"runs/{number}",
        "eventType": kind,
        "eventTime": "2026-03-01T10:00:00.1234567Z",
        "data": {"runStatus": "Completed"},
        "dataVersion": "1.0",
    }


def test_each_event_reaches_its_function(work_host: RunningHost) -> None:
    """One invocation for each event of a batch, answered with 202 once all have ended."""
    with work_host.client() as client:
        events = [event("Sample.Status", number) for number in (1, 2)]
        assert client.post(WEBHOOK, json=events, headers=NOTIFICATION).status_code == 202
    results = sorted(take(work_host.queue("results"), 2))
    assert [json.loads(result) for result in results] == [
        {"type": "Sample.Status", "subject": f"runs/{number}", "data": {"runStatus": "Completed"}}
        for number in (1, 2)
    ]


def test_a_failure_asks_for_another_delivery(work_host: RunningHost) -> None:
    """If one function of a batch fails the answer is 500, so that Event Grid posts it again."""
    with work_host.client() as client:
        events = [event("Sample.Status", 3), event("Sample.Fail")]
        answer = client.post(WEBHOOK, json=events, headers=NOTIFICATION)
    assert answer.status_code == 500
    assert "as typed" not in answer.text
    assert json.loads(take(work_host.queue("results"), 1)[0])["subject"] == "runs/3"


def test_event_grid_can_subscribe_a_function(work_host: RunningHost) -> None:
    """The validation handshake is answered with its code."""
    handshake = {"aeg-event-type": "SubscriptionValidation"}
    with work_host.client() as client:
        answer = client.post(WEBHOOK, json=[{"data": {"validationCode": "512d"}}], headers=handshake)
        assert answer.json() == {"validationResponse": "512d"}
        assert client.post(WEBHOOK, json=[{"data": {}}], headers=handshake).status_code == 400


@pytest.mark.parametrize(
    ("query", "headers", "content", "status"),
    [
        ("", NOTIFICATION, b"[]", 404),
        ("?functionName=uploaded", NOTIFICATION, b"[]", 404),
        ("?functionName=heard&code=wrong", NOTIFICATION, b"[]", 401),
        ("?functionName=heard", {}, b"[{}]", 400),
        ("?functionName=heard", NOTIFICATION, b"[]", 400),
        ("?functionName=heard", NOTIFICATION, b'["text"]', 400),
        ("?functionName=heard", NOTIFICATION, b"not json", 400),
        ("?functionName=heard", NOTIFICATION, b'[{"eventTime": "yesterday"}]', 500),
    ],
)
def test_what_is_no_event_is_refused(
    work_host: RunningHost, query: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    """Unknown functions, wrong keys and malformed bodies are problems, never failures of the host."""
    with work_host.client() as client:
        answer = client.post(f"/runtime/webhooks/eventgrid{query}", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
