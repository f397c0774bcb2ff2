"""What arrives at Application Insights: Microsoft's worker and exporter send it to a local sink."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.application_insights import LOG_TYPES, SPAN_TYPES, TRACK, ApplicationInsights, Item
from local.settings import ROOT
from local.stack import Stack
from shared.adapters.storage.account import UPLOADS
from tests.e2e.runs import SAMPLES, follow, run_of, upload
from tests.notifications.receiver import Receiver

CANARY = "T0000000-canary-of-the-webhook"
ROW = "canary-of-a-row"
"""What a training job, a model and a service quote in their errors."""
CARD = "4111 1111 1111 1111"
"""In a row of the run that goes live, whose rows are masked."""
CONTACT = "canary.of.a.contact@example.com"
"""In a row of a dataset that is rejected for it."""
SECONDS = 60.0
IDLE_BYTES = 20_000


@dataclass
class Exported:
    """A run that went live, and what was exported of it."""

    run_id: str
    items: list[Item]
    azure_ml: str
    calls: list[tuple[str, str]]
    told: list[bytes]
    log: str
    kept: dict[str, bytes]
    failed: dict[str, Any]

    @property
    def spans(self) -> list[Item]:
        """All spans."""
        return [item for item in self.items if item["data"]["baseType"] in SPAN_TYPES]

    @property
    def trace(self) -> list[Item]:
        """The spans of the run's trace."""
        (trace_id,) = {
            span["tags"]["ai.operation.id"]
            for span in self.spans
            if data(span)["name"] == "run" and data(span)["properties"]["run_id"] == self.run_id
        }
        return [span for span in self.spans if span["tags"]["ai.operation.id"] == trace_id]


def data(item: Item) -> dict[str, Any]:
    """What an item says."""
    said: dict[str, Any] = item["data"]["baseData"]
    return said


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """One run from upload to live, with the settings of the deployment; spans leave every 0.2 s, not 5 s."""
    folder = tmp_path_factory.mktemp("exported")
    with ApplicationInsights() as sink, Receiver() as receiver:
        settings = {
            **sink.settings,
            "SENSITIVE_DATA": "mask",
            "CONTACT_DATA": "reject",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            "WEBHOOK_URL": f"{receiver.url}/services/{CANARY}",
        }
        with Stack(folder=folder, host="local", pace="instant", settings=settings) as stack:
            quote_rows(stack)
            rows = (SAMPLES / "ultrachat-sample.jsonl").read_bytes()
            upload(stack, "broken.jsonl", rows.replace(b" the ", b" that "))
            with stack.client() as api:
                failed = follow(api, run_of(api, "broken"), "failed")
                upload(stack, "contacts.jsonl", rows + _row(f"Write to {CONTACT}."))
                upload(stack, "watched.jsonl", rows + _row(f"My card is {CARD}."))
                follow(api, run_of(api, "contacts"), "rejected")
                run_id = run_of(api, "watched")
                follow(api, run_id, "live")
                body = {"messages": [{"role": "user", "content": ROW}]}
                assert api.post(f"/api/endpoints/{run_id}/score", json=body).status_code == 200
            with httpx.Client(base_url=stack.azureml_url, verify=False, trust_env=False) as emulator:
                calls = emulator.get("/_emulator/calls").json()["value"]
            kept = _kept(stack)
            target = stack.azureml_url.partition("//")[2]
            # Stopping the host exports what is left.
            stack.stop()
        yield Exported(
            run_id,
            sink.items(),
            target,
            [(call["method"], call["path"]) for call in calls],
            [taken.body for taken in receiver.received],
            (folder / "logs" / "functions.log").read_text(),
            kept,
            failed,
        )


def _row(text: str) -> bytes:
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "I shall."}]
    return json.dumps({"messages": turns}).encode() + b"\n"


def _kept(stack: Stack) -> dict[str, bytes]:
    """Everything in the storage account but the uploads: blobs and messages of queues, poisoned or not."""
    kept = {}
    with BlobServiceClient.from_connection_string(stack.blob_connection_string) as blobs:
        for container in blobs.list_containers():
            client = blobs.get_container_client(container.name)
            for name in () if container.name == UPLOADS else client.list_blob_names():
                kept[f"{container.name}/{name}"] = client.download_blob(name).readall()
    with QueueServiceClient.from_connection_string(stack.blob_connection_string) as queues:
        for queue in queues.list_queues():
            messages = queues.get_queue_client(queue.name).peek_messages(32)
            kept[f"queue {queue.name}"] = b"\n".join(base64.b64decode(one.content) for one in messages)
    return kept


def quote_rows(stack: Stack) -> None:
    """Have a job, the model's server in a smoke test, and Azure Resource Manager quote a row, once each."""
    faults = [
        {"job": {"child": "chat_completion_finetune", "message": f"cannot read {ROW}"}},
        {"container": {"status": 500, "reason": f"cannot answer {ROW}"}},
        {
            "match": {"operation": "endpoints.put"},
            "status": 403,
            "body": {"error": {"code": f"No {ROW}!", "message": f"no {ROW}"}},
        },
    ]
    with httpx.Client(base_url=stack.azureml_url, verify=False, trust_env=False) as emulator:
        emulator.post("/_emulator/faults", json=faults).raise_for_status()


def test_a_run_is_one_whole_trace(exported: Exported) -> None:
    """Each span of the run's trace but the first has its parent there: none was left out by a sampler."""
    spans = {data(span)["id"]: span for span in exported.trace}
    roots = [span for span in spans.values() if span["tags"].get("ai.operation.parentId") not in spans]
    assert [data(root)["name"] for root in roots] == ["run"]
    names = Counter(data(span)["name"] for span in spans.values())
    steps = {"validate", "plan", "claim", "submit_job", "collect_metrics", "register_model", "smoke_test"}
    assert steps <= names.keys()
    assert len(spans) > 100


def test_each_request_is_exported_once(exported: Exported) -> None:
    """As many spans as Azure ML saw requests, and each names the same method and path."""
    sent = Counter(
        call for call in exported.calls if "/_scoring/" not in call[1] and "_emulator" not in call[1]
    )
    seen = Counter(
        tuple(data(span)["name"].split(" ", 1))
        for span in exported.spans
        if data(span).get("target") == exported.azure_ml
    )
    # The emulator is asked for its calls a moment before the app ends: it goes on looking at its runs.
    assert not sent - seen
    ids = Counter((span["tags"]["ai.operation.id"], data(span)["id"]) for span in exported.spans)
    assert set(ids.values()) == {1}
    assert sum(sent.values()) > 40
    assert (seen - sent).total() <= 5


def test_log_records_are_the_apps_and_name_the_run(exported: Exported) -> None:
    """No line of a library; the run id is in the text here and in the host's own log."""
    # An exception on a span is an item of the same kind, with no logger.
    records = [item for item in exported.items if item["data"]["baseType"] in LOG_TYPES]
    named = [data(record)["properties"].get("logger_name") for record in records]
    loggers = {name.partition(".")[0] for name in named if name}
    assert loggers
    assert loggers <= {"finetune", "handlers", "shared", "host"}
    messages = [data(record)["message"] for record in records if "message" in data(record)]
    assert f"run enters a stage run_id={exported.run_id} stage=live" in messages
    assert f"run enters a stage run_id={exported.run_id} stage=live" in exported.log


def test_the_webhooks_address_is_in_no_span_and_no_log(exported: Exported) -> None:
    """Slack's and Teams' addresses are secrets; that something was posted can still be seen."""
    assert len(exported.told) > 0
    assert "webhook.post" in {data(span)["name"] for span in exported.spans}
    assert CANARY not in json.dumps(exported.items)
    assert CANARY not in exported.log


def test_no_row_is_in_any_span_log_metric_or_notification(exported: Exported) -> None:
    """The run's record has the message; what leaves the app by itself has codes."""
    assert ROW in exported.failed["error"]["message"]
    assert [item["data"] for item in exported.items if ROW in json.dumps(item)] == []
    assert [line for line in exported.log.splitlines() if ROW in line] == []
    assert exported.failed["run_id"].encode() in b"".join(exported.told)
    assert ROW.encode() not in b"".join(exported.told)


def test_sensitive_data_is_in_nothing_that_is_kept_or_sent(exported: Exported) -> None:
    """Masked or rejected: not in snapshot, report, page, record, queues, spans, logs or notifications."""
    stored = {
        **exported.kept,
        "spans, log records and metrics": json.dumps(exported.items).encode(),
        "log of the host": exported.log.encode(),
        "notifications": b"".join(exported.told),
    }
    for canary in (CARD, CONTACT):
        for spelling in {canary, canary.replace(" ", ""), json.dumps(canary)[1:-1]}:
            assert [name for name, data in stored.items() if spelling.encode() in data] == []
    masked = {name.partition("/")[0] for name, data in stored.items() if b"My card is [card number]." in data}
    assert "datasets" in masked
    assert any(b"E218" in data for name, data in stored.items() if name.startswith("reports/"))
    assert {"queue advance", "queue notifications"} <= stored.keys()


def test_an_idle_minute_is_quiet(flow_environment: dict[str, str]) -> None:
    """A tick of the timer and what a minute exports besides: no log record, and under 20 kB.

    The worker is stopped after its tick, which exports at once what would leave within the minute.
    """
    with ApplicationInsights() as sink:
        command = [sys.executable, "-m", "bench.idle_worker", str(ROOT)]
        environment = {**flow_environment, **sink.settings, "OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
        worker = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        ready = worker.stdout.readline()
        before = len(sink.posts)
        try:
            worker.communicate("\n", SECONDS)
        finally:
            worker.kill()
        assert worker.returncode == 0
        posts = sink.posts[before:]
    items = [item for post in posts for item in post.items]
    # Before the app was imported, the worker and its exporter wrote what they always write.
    logged = [item for item in items if item["data"]["baseType"] in LOG_TYPES and item["time"] > ready]
    assert logged == []
    assert {"runs.entries"} <= {data(item).get("name") for item in items}
    assert any(item["data"]["baseType"] == "MetricData" for item in items)
    assert sum(post.size for post in posts) < IDLE_BYTES
    assert sum(post.path == TRACK for post in posts) <= 4
