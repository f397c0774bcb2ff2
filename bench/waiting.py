"""What runs that wait for a slot cost: CPU of the app, latency of its health, and how soon a caller is heard.

The local stack serves the app under Microsoft's worker. One run trains, another waits for its slot, and its
record is copied until there are as many as are to wait.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.processes import wait_until
from local.settings import ROOT
from local.stack import Stack

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
SIZES = (0, 100, 1_000)
TICK_SECONDS = 15
"""Between two ticks of the timer, a minute in Azure: numbers per second are four times those of there."""

MEASURED_SECONDS = 60.0
STAGE_SECONDS = 180.0
SETTINGS = {
    "MAX_TRAINING_RUNS": "1",
    "COMPUTE_CLUSTER": "serverless",
    "ADVANCE_SCHEDULE": f"*/{TICK_SECONDS} * * * * *",
    "JOB_POLL_SECONDS": str(TICK_SECONDS),
}


def measure_waiting(_megabytes: int = 0) -> dict[str, Any]:
    """Measure every size."""
    return {"tick_seconds": TICK_SECONDS, "sizes": [_measure(size) for size in SIZES]}


def _measure(size: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-waiting-") as folder,
        Stack(folder=Path(folder), host="local", pace="timed", settings=SETTINGS) as stack,
        BlobServiceClient.from_connection_string(stack.blob_connection_string) as blobs,
        stack.client() as api,
    ):
        rows = SAMPLE.read_bytes()
        upload(blobs, api, "trains", rows, "training")
        waits = upload(blobs, api, "waits", rows.replace(b" the ", b" that "), "validated")
        last = copy_record(blobs.get_container_client("runs"), waits, size) or waits
        functions = stack._processes["functions"].pid
        before, began = cpu_seconds(functions), time.monotonic()
        latencies = []
        while time.monotonic() - began < MEASURED_SECONDS:
            asked = time.perf_counter()
            api.get("/api/health").raise_for_status()
            latencies.append(time.perf_counter() - asked)
            time.sleep(0.05)
        cores = (cpu_seconds(functions) - before) / (time.monotonic() - began)
        asked = time.monotonic()
        api.post(f"/api/runs/{last}/cancel").raise_for_status()
        follow(api, last, "canceled")
        return {
            "waiting": size,
            "cores": round(cores, 2),
            "health_p50_ms": round(1000 * median(latencies), 1),
            "health_p99_ms": round(1000 * quantiles(latencies, n=100)[98], 1),
            "cancel_seconds": round(time.monotonic() - asked, 1),
        }


def upload(blobs: BlobServiceClient, api: httpx.Client, name: str, rows: bytes, stage: str) -> str:
    """Upload a dataset, and wait until its run has reached a stage; returns the run."""
    blobs.get_blob_client("uploads", f"{name}.jsonl").upload_blob(rows)
    found: list[str] = []

    def opened() -> bool:
        listed = api.get("/api/runs", params={"dataset": name}).raise_for_status().json()["runs"]
        found.extend(run["run_id"] for run in listed)
        return bool(found)

    assert wait_until(opened, STAGE_SECONDS), f"no run of {name}"
    follow(api, found[0], stage)
    if stage == "validated":
        asked = wait_until(lambda: bool(show(api, found[0])["waiting_for"]), STAGE_SECONDS)
        assert asked, f"{found[0]} does not wait for a slot"
    return found[0]


def follow(api: httpx.Client, run_id: str, stage: str) -> None:
    """Wait until a run has reached a stage."""
    reached = wait_until(lambda: show(api, run_id)["stage"] == stage, STAGE_SECONDS)
    assert reached, f"{run_id} is {show(api, run_id)['stage']}"


def show(api: httpx.Client, run_id: str) -> dict[str, Any]:
    """A run, as the API shows it."""
    shown: dict[str, Any] = api.get(f"/api/runs/{run_id}").raise_for_status().json()
    return shown


def copy_record(runs: ContainerClient, run_id: str, size: int) -> str | None:
    """Copy a record with its index entry; returns the last copy."""
    download = runs.get_blob_client(f"{run_id}.json").download_blob()
    record, index = download.readall(), dict(download.properties.metadata)
    names = [f"{run_id[:-10]}{secrets.token_hex(5)}" for _ in range(size)]

    def copy(name: str) -> None:
        body = json.dumps(json.loads(record.replace(run_id.encode(), name.encode())))
        runs.upload_blob(f"{name}.json", body, metadata=index)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(copy, names))
    return names[-1] if names else None


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of those that it started."""
    ticks, pids = 0, [pid]
    while pids:
        process = pids.pop()
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            pids += map(int, task.read_text().split())
    return ticks / os.sysconf("SC_CLK_TCK")
