"""The real queue, the real receiver, and Azure ML's own events."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from handlers.events.job_status_changed import RUN_STATUS_CHANGED, handle_job_status_changed
from local.azurite import Azurite
from local.processes import wait_until
from local.stack import Stack
from shared.adapters.http.webhook import HttpWebhook
from shared.adapters.storage.notification_queue import QUEUE, NotificationQueue
from shared.adapters.storage.queues import open_queue
from shared.config import StorageConnection
from shared.domain.errors import ServiceRefusedError, TransientServiceError
from shared.domain.run.notifications import Notification, sign
from tests.e2e.runs import SAMPLES, follow, run_of, upload
from tests.live_stack import DATASET, SECRET, LiveStack
from tests.notifications.receiver import Received, Receiver

RUN_ID = "ft-support-0123456789"
NEVER = "0 0 0 1 1 *"
"""On the first of January."""


def test_the_queue_takes_notices_and_holds_them_back(azurite: Azurite) -> None:
    """A notification is base64-encoded JSON as the host decodes it, and appears when its delay is over."""
    connection = StorageConnection(connection_string=azurite.connection_string)
    with open_queue(connection, None, QUEUE) as queue:  # type: ignore[arg-type]
        queue.queue_name = f"notifications-{uuid.uuid4().hex[:12]}"
        queue.create_queue()
        NotificationQueue(queue).enqueue(Notification(run_id=RUN_ID, index=1), delay=timedelta(hours=1))
        NotificationQueue(queue).enqueue(Notification(run_id=RUN_ID, index=2), delay=timedelta())
        (message,) = queue.receive_messages()
    assert json.loads(base64.b64decode(message.content)) == {
        "type": "stage",
        "run_id": RUN_ID,
        "index": 2,
        "attempt": 0,
    }


def test_a_queue_out_of_reach_is_a_fault_that_passes() -> None:
    """It is raised as this app's own error, soon."""
    gone = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:9/a"
    with (
        open_queue(StorageConnection(connection_string=gone), None, QUEUE) as queue,  # type: ignore[arg-type]
        pytest.raises(TransientServiceError),
    ):
        NotificationQueue(queue).enqueue(Notification(run_id=RUN_ID, index=1), delay=timedelta())


@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 503, 302])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """Also what a person has to put right: a wrong address, a wrong key; redirects are not followed."""
    with Receiver(answers=[status], retry_after="7") as receiver:
        with pytest.raises(TransientServiceError) as caught:
            HttpWebhook(receiver.url).post(b"{}", {})
        assert caught.value.retry_after == (7 if status >= 400 else None)
        assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [400, 410, 413, 415, 422])
def test_what_will_not_pass_is_given_up(status: int) -> None:
    """A receiver that calls the message wrong, or says that it is gone, is believed."""
    with Receiver(answers=[status]) as receiver, pytest.raises(ServiceRefusedError):
        HttpWebhook(receiver.url).post(b"{}", {})


def test_nobody_there_is_a_fault_that_passes() -> None:
    """A refused connection is tried again later."""
    with pytest.raises(TransientServiceError):
        HttpWebhook("http://127.0.0.1:9/").post(b"{}", {})


def told(one: Received) -> dict[str, Any]:
    """The data of an event."""
    data: dict[str, Any] = json.loads(one.body)["data"]
    return data


def test_every_stage_is_announced_signed(live_stack: LiveStack) -> None:
    """By the real app: one cloud event a stage up to live, whose signature holds over the raw body."""
    ours = f"{live_stack.run_id}/"

    def stages() -> list[str]:
        bodies = [json.loads(one.body) for one in list(live_stack.notifications.received)]
        mine = {body["id"]: body for body in bodies if body["id"].startswith(ours)}
        return [mine[key]["data"]["stage"] for key in sorted(mine, key=lambda key: int(key.split("/")[1]))]

    expected = ["received", "validated", "training", "trained", "registered", "deploying", "live"]
    assert wait_until(lambda: stages() == expected, 240), stages()
    for headers, body in live_stack.notifications.received:
        event = json.loads(body)
        assert headers["content-type"].startswith("application/cloudevents+json")
        assert {"specversion", "id", "source", "type"} <= set(event)
        sent = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        assert headers["webhook-signature"] == sign(SECRET, event["id"], sent, body)["webhook-signature"]
    (endpoint,) = {
        data["endpoint"]
        for data in map(told, live_stack.notifications.received)
        if data["dataset"] == DATASET and data["endpoint"]
    }
    assert endpoint == live_stack.run_id


def test_a_run_goes_on_when_azure_ml_tells_of_its_job(tmp_path: Path) -> None:
    """The timer is never due: once a first look has submitted the job, nothing else asks for another."""
    with Stack(folder=tmp_path, host="local", settings={"ADVANCE_SCHEDULE": NEVER}) as stack:
        upload(stack, f"{DATASET}.jsonl", (SAMPLES / "ultrachat-sample.jsonl").read_bytes())
        with stack.client() as api:
            run_id = run_of(api, DATASET)

            def submitted() -> bool:
                return api.get(f"/api/runs/{run_id}").json()["stage"] not in {"received", "validated"}

            for _ in range(40):
                api.post(f"/api/runs/{run_id}/retry").raise_for_status()
                if wait_until(submitted, 5):
                    break
            assert (
                follow(api, run_id, "trained", "registered", "deploying", "live")["job"]["status"]
                == "Completed"
            )


def test_the_webhook_of_events_follows_the_protocol(live_stack: LiveStack) -> None:
    """Handshake, a wrong key, an unknown function, and bodies that are no events."""
    stack = live_stack.stack
    address = f"{stack.functions_url}/runtime/webhooks/eventgrid"
    right = {"functionName": "job_status_changed", "code": stack.function_key}
    handshake = [{"data": {"validationCode": "4711"}}]
    with httpx.Client(trust_env=False, timeout=60) as client:

        def post(kind: str, json: object, **query: str) -> httpx.Response:
            return client.post(address, params=right | query, headers={"aeg-event-type": kind}, json=json)

        assert post("SubscriptionValidation", handshake).json() == {"validationResponse": "4711"}
        assert post("Notification", handshake, code="wrong").status_code == 401
        assert post("Notification", handshake, functionName="advance_run").status_code == 404
        assert post("Unsubscribe", handshake).status_code == 400
        for body in ([], 7, ["text"], [{"data": {}}, 7]):
            assert post("Notification", body).status_code == 400


@pytest.mark.parametrize("kind", [RUN_STATUS_CHANGED, "Microsoft.MachineLearningServices.ModelRegistered"])
def test_a_job_is_heard_of_in_either_schema(live_stack: LiveStack, kind: str) -> None:
    """A delivery as CloudEvents 1.0 is taken as one in the Event Grid schema, known type or not."""
    data = {"runId": live_stack.run_id, "runStatus": "Completed"}
    cloud = {"specversion": "1.0", "id": "1", "source": "/w", "type": kind, "time": "2026-03-01T10:00:00Z"}
    grid = {"id": "1", "topic": "/w", "subject": "s", "eventType": kind, "dataVersion": "1"}
    query = {"functionName": "job_status_changed", "code": live_stack.stack.function_key}
    with httpx.Client(trust_env=False, timeout=60) as client:
        for event in (cloud, grid):
            answer = client.post(
                f"{live_stack.stack.functions_url}/runtime/webhooks/eventgrid",
                params=query,
                headers={"aeg-event-type": "Notification"},
                json={**event, "data": data},
            )
            assert answer.status_code == 202


def test_only_jobs_of_runs_are_heard_of() -> None:
    """Other jobs, the steps of a pipeline and other events name no run."""
    assert handle_job_status_changed(RUN_STATUS_CHANGED, {"runId": RUN_ID, "runStatus": "Completed"}) == [
        RUN_ID
    ]
    for kind, data in [
        (RUN_STATUS_CHANGED, {"runId": "4a1c64b3-0000-0000-0000-000000000000"}),
        (RUN_STATUS_CHANGED, {"runId": "../../etc"}),
        (RUN_STATUS_CHANGED, {"runId": 7}),
        (RUN_STATUS_CHANGED, {}),
        ("Microsoft.MachineLearningServices.ModelRegistered", {"runId": RUN_ID}),
        (None, {"runId": RUN_ID}),
    ]:
        assert handle_job_status_changed(kind, data) == []
