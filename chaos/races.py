"""Two at once: duplicate events, overtaken workers, and people and timers that come in between.

A worker is stopped before one of its calls, somebody else does something in full, and the worker goes on.
That is done at every write to the record and to Azure ML, so that no order of two writers is left to luck.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from chaos.harness import Case, Harness, Verdict
from chaos.host import Host
from chaos.wire import FaultKind, Injection
from chaos.worker import Invocation
from shared.domain.run.stages import Stage

ENDED = frozenset({Stage.STOPPED})
AT_ONCE = 10
DUPLICATED_RUNS = 3
MOST_LOOKS = 50

_WRITE = re.compile(r"(PUT|POST|PATCH|DELETE) (/devstoreaccount1/runs/|/subscriptions/)")
"""A write to the record or to Azure ML: before each of them it matters who else has written."""

_SUBMISSION = re.compile(r"PUT /subscriptions/.*/jobs/")


def duplicates(harness: Harness) -> Iterator[Case]:
    """Some runs, each of whose events comes ten times at once."""
    for _ in range(DUPLICATED_RUNS):
        yield Case(f"each event {AT_ONCE} times at once", partial(_ten_times, harness))


def races(harness: Harness, main: list[tuple[str, str]], every: int = 1) -> Iterator[Case]:
    """Every race, at every write of the main scenario where it can happen, or at each so-many-th."""
    before_teardown = {"received", "validated", "training", "trained", "registered", "deploying"}
    for number, (stage, target) in enumerate(main):
        if not _WRITE.match(target) or number % every:
            continue
        yield Case("worker overtaken after its lease ran out", partial(_overtaken, harness, number))
        if stage in before_teardown:
            yield Case("cancel during an advance", partial(canceled, harness, number))
        if stage in {"registered", "deploying"}:
            yield Case("reconciliation during a deployment", partial(_reconciled, harness, number))
    for number in [number for number, (_, target) in enumerate(main) if _SUBMISSION.match(target)]:
        yield Case("job that arrives after the end", partial(late_job, harness, number))
    for number in [number for number, (stage, _) in enumerate(main) if stage == "live"]:
        yield Case("extend during a teardown", partial(_extended, harness, number))


def _paused(harness: Harness, number: int, meanwhile: Callable[[Host], None]) -> tuple[Host, Stage | None]:
    host = harness.host(iter([[Injection(FaultKind.PAUSE_BEFORE, call=number)]]))
    host.on_pause = lambda: meanwhile(host)
    return host, host.carry()


def _overtaken(harness: Harness, number: int) -> Verdict:
    def overtake(host: Host) -> None:
        harness.world.expire_lease(host.upload.run_id)
        if harness.world.entry(host.upload.run_id) is None:
            host.run_concurrently("dataset_uploaded", host.upload.path)
        else:
            host.run_concurrently("advance_run", host.upload.run_id)

    host, end = _paused(harness, number, overtake)
    return harness.assess(host, end, ENDED)


def canceled(harness: Harness, number: int) -> Verdict:
    """Cancel a run while its worker stands before its so-many-th call."""
    accepted: list[bool] = []

    def cancel(host: Host) -> None:
        accepted.append(host.run_concurrently("cancel_run", host.upload.run_id).error is None)

    host, end = _paused(harness, number, cancel)
    # It is unknown before its record is there, and live when its last write was under way.
    unheard = any(accepted) is False
    expected = ENDED if unheard else frozenset({Stage.CANCELED, Stage.DELETED, Stage.STOPPED})
    holds = unheard or harness.world.record(host.upload.run_id).requests.cancel_at is not None
    return harness.assess(host, end, expected, holds=holds)


def late_job(harness: Harness, number: int) -> Verdict:
    """Cancel a run and have it end while its worker stands before the submission; then reconcile."""

    def end(host: Host) -> None:
        host.run_concurrently("cancel_run", host.upload.run_id)
        for _ in range(MOST_LOOKS):
            entry = harness.world.entry(host.upload.run_id)
            if entry is None or entry.stage is None or entry.stage.at_rest:
                return
            # The absence of a job is proven over minutes, and not with one answer.
            host.now = max(host.now, entry.due or host.now)
            harness.world.expire_lease(host.upload.run_id)
            host.run_concurrently("advance_run", host.upload.run_id)

    host, stage = _paused(harness, number, end)
    arrived = harness.world.hold_up_jobs(host.upload)
    host.run_concurrently("reconcile_resources")
    return harness.assess(host, stage, frozenset({Stage.CANCELED}), holds=arrived == 1)


def _reconciled(harness: Harness, number: int) -> Verdict:
    host, end = _paused(harness, number, lambda host: _discard(host.run_concurrently("reconcile_resources")))
    went = [entry.stage for entry in harness.world.record(host.upload.run_id).history]
    return harness.assess(host, end, ENDED, holds=Stage.LIVE in went)


def _extended(harness: Harness, number: int) -> Verdict:
    promised: list[datetime] = []

    def extend(host: Host) -> None:
        if host.run_concurrently("extend_endpoint", host.upload.run_id).error is None:
            until = harness.world.record(host.upload.run_id).expires_at
            assert until is not None
            promised.append(until)

    host, end = _paused(harness, number, extend)
    record = harness.world.record(host.upload.run_id)
    torn_down = record.entered(Stage.DELETING)
    kept = not promised or (torn_down is not None and torn_down >= promised[0] - timedelta(seconds=1))
    return harness.assess(host, end, ENDED, holds=kept)


def _discard(_outcome: object) -> None:
    return None


def _ten_times(harness: Harness) -> Verdict:
    """Deliver every event of a run to ten workers at the same moment."""
    host = harness.host()
    events = 0

    def deliver(function: str, argument: str) -> None:
        nonlocal events
        workers = [harness.fleet.acquire() for _ in range(AT_ONCE)]
        for worker in workers:
            worker.begin(Invocation(function, host.now, argument, injections=[]))
        for worker in workers:
            worker.finish()
            harness.fleet.release(worker)
        events += AT_ONCE

    deliver("dataset_uploaded", host.upload.path)
    for _ in range(MOST_LOOKS):
        entry = harness.world.entry(host.upload.run_id)
        assert entry is not None
        if entry.stage is None or entry.stage.at_rest:
            break
        host.now = max(host.now + timedelta(seconds=1), entry.due or host.now)
        deliver("advance_run", host.upload.run_id)
    entry = harness.world.entry(host.upload.run_id)
    end = entry.stage if entry and entry.stage and entry.stage.at_rest else None
    return harness.assess(host, end, ENDED, injected=events)
