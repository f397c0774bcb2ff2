"""The load of a busy day on the app, through Microsoft's worker, with the polling times of a deployment.

Two hundred uploads a minute, sixty-four clients that chat with a slow model, a thousand runs that wait for a
slot. Measured: health and the list of runs, CPU and memory of the app with its host, how late a person is
heard, and how soon a freed slot is taken. Everything shares this machine, storage and Azure ML included.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, ContainerClient
from azureml_emulator import TIMED

from bench.load_generator import Done, Plan, generate
from bench.waiting import copy_record, cpu_seconds, follow, upload
from local.processes import wait_until
from local.settings import LOCAL_PACE, ROOT, example_settings
from local.stack import Stack

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
MODEL_SECONDS = 2.0
"""What the slow model takes for an answer."""

PROBE_SECONDS = 0.05
LIST_SECONDS = 0.5
TAKEN_SECONDS = 90.0
"""A tick of the timer and a little more."""

MEMORY_MINUTES = (1, 5, 10)
SHARES = (0.2, 0.4, 0.6)
"""When, of the whole time, somebody deletes a live endpoint, and then cancels a run that trains."""

MANY_CHATS = "128"
ENDING = ("endsa", "endsb", "endsc")
CANCELED = ("trainsa", "trainsb", "trainsc")
"""One for each of `SHARES`. Names that differ by a number alone are one, which may not hold all slots."""

SETTINGS = {
    "COMPUTE_CLUSTER": "serverless",
    "ENDPOINT_IDLE_MINUTES": "0",
    "SMOKE_TEST_ROWS": "1",
    "SERVING_CONCURRENCY": MANY_CHATS,
    "FINETUNE_PARAMETERS": '{"max_steps": 2}',
}
SOON_CANCELED = replace(TIMED, name="timed, but canceled at once", cancel=1)


@dataclass(frozen=True)
class Load:
    """How much of it; the defaults are the whole."""

    minutes: float = 2.0
    uploads_a_minute: float = 200.0
    chats: int = 64
    waiting: int = 1_000


@dataclass
class Seen:
    """What was measured while the load was on.

    Attributes:
        health: Seconds of each answer, and so of `runs`.
        deleting: Seconds from somebody's DELETE to its beginning.
        taken: Seconds from the end of a training job to the submission of the next run's.
        rss: Resident memory of the app with its host in MiB, by minute.
        cores: How many each process of the stack kept busy; `functions` is the app with its host.
    """

    health: list[float] = field(default_factory=list)
    runs: list[float] = field(default_factory=list)
    deleting: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)
    rss: dict[float, float] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)


def measure_load(load: Load = Load()) -> dict[str, Any]:
    """Measure before the load and under it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-load-") as folder,
        Stack(folder=Path(folder), host="local", settings=SETTINGS) as stack,
        BlobServiceClient.from_connection_string(stack.blob_connection_string) as blobs,
        stack.client() as api,
    ):
        _prepare(stack, blobs, api, load)
        before = Seen()
        with _probing(stack, before):
            time.sleep(20)
        seen = Seen()
        done = _under_load(stack, api, load, seen)
        opened = _opened(blobs.get_container_client("runs"), done)
    return {
        **asdict(load),
        "idle": _latencies(before),
        "under_load": _latencies(seen),
        "cores": {name: round(cores, 2) for name, cores in seen.cores.items()},
        "rss_mib": {f"{minute:g} min": round(size) for minute, size in seen.rss.items()},
        "delete_begins_seconds": [round(taken, 1) for taken in seen.deleting],
        "freed_slot_taken_seconds": [round(taken, 1) for taken in seen.taken],
        "uploads": len(done.uploaded),
        "opened": len(opened),
        "opened_after_seconds": {
            "median": round(median(opened), 1),
            "longest": round(max(opened), 1),
        },
        "chats": dict(done.statuses),
    }


def _prepare(stack: Stack, blobs: BlobServiceClient, api: httpx.Client, load: Load) -> None:
    """Models that are live, jobs that take every slot, runs that wait; then the times of a deployment."""
    rows = SAMPLE.read_bytes()
    live = {
        name: upload(blobs, api, name, rows.replace(b" the ", f" {name} ".encode()), "live")
        for name in ("chats", *ENDING)
    }
    _change(stack, {"pace": asdict(SOON_CANCELED)})
    for name in (*CANCELED, "trains"):
        upload(blobs, api, name, rows.replace(b" the ", f" {name} ".encode()), "training")
    waits = upload(blobs, api, "waits", rows.replace(b" the ", b" that "), "validated")
    copy_record(blobs.get_container_client("runs"), waits, load.waiting)
    with _azureml(stack) as azureml:
        slow = {
            "match": {"target": f"{live['chats']}/main"},
            "container": {"seconds": MODEL_SECONDS},
            "count": None,
        }
        azureml.post("/_emulator/faults", json=slow).raise_for_status()
    # It lists all uploads five times a second, which Event Grid does not: the load brings its own events.
    stack._processes.pop("event_grid").stop()
    stack._processes.pop("functions").stop()
    example = example_settings()
    for name in LOCAL_PACE:
        stack.environment.pop(name)
        if name in example:
            stack.environment[name] = example[name]
    stack.start_functions()


def _under_load(stack: Stack, api: httpx.Client, load: Load, seen: Seen) -> Done:
    seconds = 60 * load.minutes
    ids = {
        run["dataset"]: run["run_id"]
        for stage in ("live", "training")
        for run in api.get("/api/runs", params={"stage": stage}).raise_for_status().json()["runs"]
    }
    plan = Plan(
        seconds,
        load.uploads_a_minute,
        load.chats,
        ids["chats"],
        SAMPLE.read_bytes(),
        stack.functions_url,
        stack.function_key,
        stack.blob_connection_string,
        stack._webhook("blobs", "Host.Functions.dataset_uploaded"),
    )
    cpu = {name: cpu_seconds(pid) for name, pid in stack.pids.items()}
    moment, began = datetime.now(UTC), time.monotonic()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        generating = processes.submit(generate, plan)
        with _probing(stack, seen):
            for share, ends, canceled in zip(SHARES, ENDING, CANCELED, strict=True):
                _sleep_until(began + share * seconds)
                _delete(api, ids[ends], seen)
                api.post(f"/api/runs/{ids[canceled]}/cancel").raise_for_status()
            done = generating.result()
        seconds = time.monotonic() - began
        seen.cores = {name: (cpu_seconds(pid) - cpu[name]) / seconds for name, pid in stack.pids.items()}
    seen.taken = _taken(stack, moment)
    return done


def _delete(api: httpx.Client, run_id: str, seen: Seen) -> None:
    asked = time.monotonic()
    api.delete(f"/api/endpoints/{run_id}").raise_for_status()
    follow(api, run_id, "deleting")
    seen.deleting.append(time.monotonic() - asked)


def _taken(stack: Stack, began: datetime) -> list[float]:
    """Seconds from the end of each canceled job to the next submission: until then its slot is free."""
    with _azureml(stack) as azureml:

        def moments(name: str) -> list[datetime]:
            kept = azureml.get("/_emulator/resources", params={"kinds": "jobs"}).raise_for_status().json()
            times = (datetime.fromisoformat(job[name]) for job in kept["jobs"] if job.get(name))
            return sorted(moment for moment in times if moment > began)

        wait_until(lambda: len(moments("submitted")) >= len(CANCELED), TAKEN_SECONDS)
        pairs = zip(moments("cancel_done"), moments("submitted"), strict=False)
        return [(submitted - freed).total_seconds() for freed, submitted in pairs]


@contextmanager
def _probing(stack: Stack, seen: Seen) -> Iterator[None]:
    """Ask for health and for the runs, each at its pace, and look at the memory each minute."""
    over = threading.Event()
    pid = stack._processes["functions"].pid

    def ask(path: str, pace: float, times: list[float]) -> None:
        with stack.client() as client:
            while not over.wait(pace):
                asked = time.perf_counter()
                client.get(path).raise_for_status()
                times.append(time.perf_counter() - asked)

    def weigh() -> None:
        began = time.monotonic()
        seen.rss[0] = _rss_mib(pid)
        for minute in MEMORY_MINUTES:
            if over.wait(max(0, began + 60 * minute - time.monotonic())):
                break
            seen.rss[minute] = _rss_mib(pid)

    threads = [
        threading.Thread(target=ask, args=("/api/health", PROBE_SECONDS, seen.health)),
        threading.Thread(target=ask, args=("/api/runs", LIST_SECONDS, seen.runs)),
        threading.Thread(target=weigh),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _opened(runs: ContainerClient, done: Done) -> list[float]:
    """Seconds from an upload to its run, for each that has one."""
    found = {}
    for blob in runs.list_blobs(include=["metadata"]):
        facts = blob.metadata or {}
        if facts.get("dataset") in done.uploaded and "opened" in facts:
            found[facts["dataset"]] = datetime.fromisoformat(facts["opened"])
    return [(at - done.uploaded[name]).total_seconds() for name, at in found.items()]


def _latencies(seen: Seen) -> dict[str, float]:
    return {
        f"{name}_{which}_ms": round(1000 * value, 1)
        for name, times in (("health", seen.health), ("runs", seen.runs))
        for which, value in (("p50", median(times)), ("p99", quantiles(times, n=100)[98]))
    }


@contextmanager
def _azureml(stack: Stack) -> Iterator[httpx.Client]:
    trust = ssl.create_default_context(cafile=stack.ca_bundle)
    with httpx.Client(base_url=stack.azureml_url, verify=trust, trust_env=False) as client:
        yield client


def _change(stack: Stack, state: dict[str, Any]) -> None:
    with _azureml(stack) as azureml:
        azureml.patch("/_emulator/state", json=state).raise_for_status()


def _sleep_until(moment: float) -> None:
    time.sleep(max(0, moment - time.monotonic()))


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
