"""What operators see of a run: one trace from upload to teardown, and metrics, as a collector gets them."""

from __future__ import annotations

import json
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.identity import DefaultAzureCredential
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from handlers.timers.schedule_due_runs import schedule_due_runs
from shared.adapters.telemetry import OpenTelemetry
from shared.bootstrap import build_services
from shared.domain.errors import TransientServiceError
from shared.domain.run.stages import Stage
from shared.workflow.open_run import take_upload
from tests.flow.conftest import ROOT, Flow, later

SECRET_WORDS = "the-training-text-that-nobody-may-see"


@dataclass
class Collector:
    """Receives what the app exports."""

    spans: InMemorySpanExporter
    metrics: InMemoryMetricReader
    tracers: TracerProvider

    def span_list(self) -> tuple[ReadableSpan, ...]:
        """Every span so far, in order of their ends."""
        return self.spans.get_finished_spans()

    def values(self) -> dict[str, Any]:
        """The data points of every metric, by its name."""
        data = self.metrics.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def observed(flow: Flow) -> Iterator[tuple[Flow, Collector]]:
    """The app with an OpenTelemetry SDK configured, as the Functions worker does it in Azure."""
    tracers = TracerProvider()
    collector = Collector(InMemorySpanExporter(), InMemoryMetricReader(), tracers)
    tracers.add_span_processor(SimpleSpanProcessor(collector.spans))
    meters = MeterProvider([collector.metrics])
    telemetry = OpenTelemetry(tracers.get_tracer("test"), meters.get_meter("test"))
    services = flow.services_of(build_services(flow.settings, DefaultAzureCredential(), telemetry))
    yield Flow(flow.emulator, flow.storage, flow.settings, services, flow.clock), collector
    tracers.shutdown()
    meters.shutdown()


def dataset() -> bytes:
    """The sample with a row that must not be seen anywhere."""
    turns = [
        {"role": "user", "content": f"{SECRET_WORDS} {uuid.uuid4().hex}"},
        {"role": "assistant", "content": SECRET_WORDS},
    ]
    row = json.dumps({"prompt": turns[0]["content"], "prompt_id": "", "messages": turns}).encode()
    return (ROOT / "local/samples/ultrachat-sample.jsonl").read_bytes() + row + b"\n"


def test_a_run_is_one_trace_from_upload_to_teardown(observed: tuple[Flow, Collector]) -> None:
    """Each advance of a run, each step and each outside call carry one trace id, also with two events."""
    flow, collector = observed
    run_id = flow.upload("watched.jsonl", dataset())
    take_upload("watched.jsonl", container="uploads", settings=flow.settings, services=flow.services)
    flow.drive(run_id, Stage.LIVE)
    later(flow, hours=25)
    flow.drive(run_id, Stage.STOPPED)

    mine = [span for span in collector.span_list() if (span.attributes or {}).get("run_id") == run_id]
    assert {span.context.trace_id for span in mine if span.context} == {mine[0].context.trace_id}  # type: ignore[union-attr]
    names = {span.name for span in mine}
    assert {
        "run",
        "advance",
        "validate",
        "submit_job",
        "register_model",
        "smoke_test",
        "delete_endpoint",
    } <= names
    trace_id = mine[0].context.trace_id  # type: ignore[union-attr]
    calls = {
        span.name for span in collector.span_list() if span.context and span.context.trace_id == trace_id
    }
    assert {"training.submit", "training.job", "endpoints.deploy", "scoring.score", "runs.replace"} <= calls


def test_the_metrics_tell_what_runs_did(observed: tuple[Flow, Collector]) -> None:
    """Stages entered, time in them, rows and bytes a second, endpoint hours, and runs by stage."""
    flow, collector = observed
    run_id = flow.upload("watched.jsonl", dataset())
    flow.drive(run_id, Stage.LIVE)
    schedule_due_runs(flow.services)
    later(flow, hours=25)
    flow.drive(run_id, Stage.STOPPED)

    values = collector.values()
    entered = {point.attributes["stage"]: point.value for point in values["finetune.stage.entered"]}
    assert entered == dict.fromkeys(
        ("validated", "training", "trained", "registered", "deploying", "live", "deleting", "stopped"),
        1,
    )
    assert values["finetune.rows.checked"][0].value == 101
    assert values["finetune.endpoint.hours"][0].value == pytest.approx(25, abs=0.1)
    assert {point.attributes["stage"]: point.value for point in values["finetune.runs"]} == {"live": 1}


def test_faults_are_counted(observed: tuple[Flow, Collector]) -> None:
    """A fault is counted with its stage and whether it is retried."""
    flow, collector = observed
    flow.emulator.add_fault(match={"operation": "datastores.put"}, status=403)
    run_id = flow.upload("watched.jsonl", dataset())
    flow.drive(run_id, Stage.LIVE)
    points = collector.values()["finetune.faults"]
    assert [(point.attributes["stage"], point.attributes["retried"], point.value) for point in points] == [
        ("validated", True, 1),
    ]


def test_no_training_text_leaves_with_telemetry(observed: tuple[Flow, Collector]) -> None:
    """Neither spans nor metrics carry a word of the dataset."""
    flow, collector = observed
    run_id = flow.upload("watched.jsonl", dataset())
    flow.drive(run_id, Stage.LIVE)
    exported = " ".join(span.to_json() for span in collector.span_list()) + repr(collector.values())
    assert SECRET_WORDS not in exported


def test_an_unreachable_webhooks_address_is_in_no_span(observed: tuple[Flow, Collector]) -> None:
    """The exception of the connection has the address in its text; nothing of it is kept as a cause."""
    flow, collector = observed
    requests_spans = RequestsInstrumentor()
    requests_spans.instrument(tracer_provider=collector.tracers, skip_dep_check=True)
    try:
        settings = flow.configured(webhook_url="http://127.0.0.1:9/services/canary-of-the-webhook").settings
        telemetry = OpenTelemetry(collector.tracers.get_tracer("test"))
        services = build_services(settings, DefaultAzureCredential(), telemetry)
        with pytest.raises(TransientServiceError, match="cannot be reached") as caught:
            services.webhook.post(b"{}", {})
    finally:
        requests_spans.uninstrument()
    spans = [span for span in collector.span_list() if span.name == "webhook.post"]
    assert [len(span.events) for span in spans] == [1]
    assert "canary" not in " ".join(span.to_json() for span in collector.span_list())
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_an_exception_is_recorded_once(observed: tuple[Flow, Collector]) -> None:
    """By the span of the call that raised it; the step and the advance around it only fail."""
    flow, collector = observed
    flow.emulator.add_fault(match={"operation": "datastores.put"}, status=403)
    run_id = flow.upload("watched.jsonl", dataset())
    flow.drive(run_id, Stage.LIVE)
    recorded = [span.name for span in collector.span_list() for event in span.events]
    assert recorded == ["workspace.ensure_datastore"]
    failed = {
        span.name for span in collector.span_list() if not span.status.is_ok and span.status.description
    }
    assert {"workspace.ensure_datastore", "plan"} <= failed
