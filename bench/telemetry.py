"""What leaves an instance for Application Insights: in an idle minute, and of a run from upload to live.

Microsoft's worker and exporter send it to a sink on this machine. Beside what the deployment sets, both are
measured as the worker and the exporter leave it to themselves: libraries at INFO, five traces a second, and
azure-core's spans beside those of HTTP.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobClient

from local.application_insights import LOG_TYPES, SPAN_TYPES, TRACK, ApplicationInsights, Post
from local.processes import wait_until
from local.settings import ROOT
from local.stack import Stack

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
LEFT_ALONE = {
    "OTEL_TRACES_SAMPLER": "microsoft.rate_limited",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "",
    "AZURE_TRACING_ENABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "false",
}
LIVE_SECONDS = 300.0


def measure_telemetry(_megabytes: int) -> dict[str, Any]:
    """What an idle minute sends; how many spans of a run arrive, and how many of those lack their parent."""
    with tempfile.TemporaryDirectory(prefix="bench-telemetry-") as folder:
        return {
            "idle_minute": _idle(Path(folder) / "idle"),
            "run": {
                "worker_left_alone": _run(Path(folder) / "alone", LEFT_ALONE),
                "this_app": _run(Path(folder) / "ours", {}),
            },
        }


def _idle(folder: Path) -> dict[str, Any]:
    """The second minute of two workers side by side: the first has what the worker says when it starts."""
    ways: dict[str, tuple[Mapping[str, str], list[str]]] = {
        "worker_left_alone": (LEFT_ALONE, ["--loud"]),
        "this_app": ({}, []),
    }
    with ExitStack() as exits:
        stack = exits.enter_context(Stack(folder=folder, host="local"))
        stack.kill_functions()
        sinks, workers = {}, {}
        for name, (settings, options) in ways.items():
            sinks[name] = exits.enter_context(ApplicationInsights())
            workers[name] = subprocess.Popen(
                [sys.executable, "-m", "bench.idle_worker", str(ROOT), "--ticks", "3", *options],
                env={**stack.environment, **sinks[name].settings, **settings},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            exits.callback(workers[name].kill)
        for worker in workers.values():
            worker.stdout.readline()
        for worker in workers.values():
            worker.stdin.write("\n")
            worker.stdin.flush()
        _pause(60)
        before = {name: len(sink.posts) for name, sink in sinks.items()}
        _pause(60)
        return {name: _summary(sink.posts[before[name] :]) for name, sink in sinks.items()}


def _pause(seconds: float) -> None:
    wait_until(lambda: False, seconds)


def _summary(posts: tuple[Post, ...]) -> dict[str, int]:
    kinds = [item["data"]["baseType"] for post in posts for item in post.items]
    return {
        "posts": sum(post.path == TRACK for post in posts),
        "live_metrics_pings": sum(post.path != TRACK for post in posts),
        "bytes": sum(post.size for post in posts),
        "log_records": sum(kind in LOG_TYPES for kind in kinds),
        "spans": sum(kind in SPAN_TYPES for kind in kinds),
        "metrics": kinds.count("MetricData"),
    }


def _run(folder: Path, settings: Mapping[str, str]) -> dict[str, int]:
    with ApplicationInsights() as sink:
        with Stack(
            folder=folder, host="local", pace="instant", settings={**sink.settings, **settings}
        ) as stack:
            address = stack.blob_connection_string
            with BlobClient.from_connection_string(address, "uploads", "traced.jsonl") as blob:
                blob.upload_blob(SAMPLE.read_bytes())
            with stack.client() as api:

                def live() -> bool:
                    return bool(api.get("/api/runs", params={"stage": "live"}).json()["runs"])

                if not wait_until(live, LIVE_SECONDS):
                    raise TimeoutError("the run did not go live")
        items = sink.items(*SPAN_TYPES)
    traces: dict[str, dict[str, Any]] = {}
    for item in items:
        traces.setdefault(item["tags"]["ai.operation.id"], {})[item["data"]["baseData"]["id"]] = item
    # The run's own trace is the one with the most advances in it.
    trace = max(traces.values(), key=lambda spans: _named(spans, "advance"), default={})
    whole = _named(trace, "advance") > 0
    parents = [item["tags"].get("ai.operation.parentId") for item in trace.values() if whole]
    return {
        "spans_of_the_trace": len(parents),
        "advances_in_it": _named(trace, "advance"),
        "spans_without_their_parent": max(sum(parent not in trace for parent in parents) - 1, 0),
    }


def _named(spans: Mapping[str, Any], name: str) -> int:
    return sum(item["data"]["baseData"]["name"] == name for item in spans.values())
