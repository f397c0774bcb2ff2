"""What a tick costs with 10, 100 and 1,000 runs that wait on training, and what advancing them costs.

Records and jobs are copies of one real run's, in Azurite and in the Azure ML emulator; the app's own
adapters go over the wire, and every request that leaves them is counted there. One process advances all runs
with as many threads as a queue trigger gives a worker.
"""

from __future__ import annotations

import collections
import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bench.scale_plot import plot
from chaos.wire import Wire, watch
from chaos.world import World, world
from handlers.timers.schedule_due_runs import schedule_due_runs
from shared.bootstrap import build_services
from shared.config import Settings
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.workflow.advance import advance_run
from shared.workflow.open_run import take_upload
from shared.workflow.save_progress import update_run

SIZES = (10, 100, 1_000)
THREADS = 16
"""`batchSize` in host.json: messages that one worker handles at once."""

PLOT = Path(__file__).parents[1] / "docs" / "scale.svg"


def measure_scale(_megabytes: int = 0) -> dict[str, Any]:
    """Measure every size, and draw the plot."""
    wire = Wire(lambda _trouble, _target: None, lambda: None)
    watch(wire)
    rows = []
    for size in SIZES:
        with world() as around, _environment(around.environment()):
            around.emulator.set_pace("timed")
            rows.append(_measure(around, wire, size))
    PLOT.write_text(plot(rows))
    return {"threads": THREADS, "sizes": rows}


def _measure(around: World, wire: Wire, size: int) -> dict[str, Any]:
    from azure.identity import DefaultAzureCredential

    settings = Settings.from_env(os.environ)
    services = build_services(settings, DefaultAzureCredential())
    _fill(around, _training_run(around, settings, services), size, services)

    wire.plan([])
    began = time.perf_counter()
    due = schedule_due_runs(services)
    tick_seconds = time.perf_counter() - began
    tick_calls = len(wire.calls)
    assert len(set(due)) == size, f"{len(set(due))} of {size} runs are due"

    wire.plan([])
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        advanced = list(pool.map(partial(advance_run, settings=settings, services=services), due))
    seconds = time.perf_counter() - began
    assert [run.run_id for run in advanced if run and run.stage is Stage.TRAINING] == due
    calls = collections.Counter("/devstoreaccount1/" in target for _, target in wire.calls)
    return {
        "runs": size,
        "storage_calls_per_tick": tick_calls,
        "tick_seconds": round(tick_seconds, 3),
        "storage_calls_per_run": round(calls[True] / size, 2),
        "arm_calls_per_run": round(calls[False] / size, 2),
        "advances_per_second": round(size / seconds, 1),
    }


def _training_run(around: World, settings: Settings, services: Services) -> Run:
    upload = around.upload()
    (run_id,) = take_upload(upload.path, container="uploads", settings=settings, services=services)
    while (run := advance_run(run_id, settings=settings, services=services)) is not None:
        if run.stage is Stage.TRAINING:
            return run
        # A cluster takes its time at this pace; nothing here has to.
        around.end_operations("compute.put", run.options.compute)
    raise AssertionError(f"{run_id} is held by somebody else")


def _fill(around: World, run: Run, size: int, services: Services) -> None:
    """Copy a run and its job until there are `size`, all of them due."""
    record = msgspec.json.encode(msgspec.structs.replace(run, due=datetime.now(UTC)))
    names = [f"{run.run_id[:-10]}{secrets.token_hex(5)}" for _ in range(size - 1)]

    around.emulator.copy_job(run.run_id, names)

    def copy(name: str) -> None:
        old, new = run.run_id.encode(), name.encode()
        assert services.runs.create(msgspec.json.decode(record.replace(old, new), type=Run))
        # What is leased is made at a run's first advance, which was long ago.
        with services.run_lock.acquire(name):
            pass

    now = datetime.now(UTC)
    update_run(services.runs, run.run_id, lambda stored: msgspec.structs.replace(stored, due=now))
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(copy, names))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
