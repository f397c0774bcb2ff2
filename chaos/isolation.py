"""One run that cannot go on must hold up no other, must be seen, and must come back when asked to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from chaos.harness import Case, Harness, Verdict
from shared.domain.run.index import ALERT_SECONDS
from shared.domain.run.stages import Stage

POISONED = 5
DROPPED = 10
STUCK = 2

ALERT = timedelta(seconds=ALERT_SECONDS)
SLACK = timedelta(minutes=10)


def isolation(harness: Harness) -> Iterator[Case]:
    """Corrupt records beside healthy runs, and lost messages."""
    for _ in range(POISONED):
        yield Case("corrupt record, then retried", partial(_corrupt, harness))
    for _ in range(STUCK):
        yield Case("delete never ends", partial(_stuck, harness))
    for lost in range(1, DROPPED + 1):
        yield Case("queue message lost", partial(_dropped, harness, lost))


def _stuck(harness: Harness) -> Verdict:
    """A delete that never ends: the run is not over, asks for a person after an hour, and ends at last."""
    host = harness.host(warm=True)
    target = host.upload.run_id
    fault = harness.world.emulator.add_fault(
        match={"operation": "endpoint.delete", "target": target}, operation={"status": "Never"}
    )
    seen: list[bool] = []

    def watch(stage: Stage) -> None:
        if stage is not Stage.DELETING:
            return
        began = host.now
        while host.now - began < 2 * ALERT:
            entry = harness.world.entry(target)
            assert entry is not None
            if host.now - began > ALERT + SLACK or host.now - began < ALERT - SLACK:
                seen.append(entry.needs_attention(host.now) is (host.now - began > ALERT))
            seen.append(entry.stage is Stage.DELETING)
            host.tick(entry.due)
        seen.append(harness.world.end_operations("endpoint.delete", target) == 1)

    end = host.carry(watch)
    return harness.assess(
        host, end, frozenset({Stage.STOPPED}), faults=[fault], holds=bool(seen) and all(seen)
    )


def _dropped(harness: Harness, lost: int) -> Verdict:
    host = harness.host(warm=True)
    host.drops = lost
    end = host.carry()
    met = lost - host.drops
    return harness.assess(host, end, frozenset({Stage.STOPPED}), injected=met)


def _corrupt(harness: Harness) -> Verdict:
    """Spoil a record while its run is live; mend it once it is suspended; ask for it again."""
    host = harness.host(warm=True)
    neighbour = harness.host(warm=True)
    suspended: list[bool] = []
    ended: list[Stage | None] = []

    def spoil(stage: Stage) -> None:
        if stage is not Stage.LIVE:
            return
        harness.world.spoil_record(host.upload.run_id)
        host.deliver("advance_run", host.upload.run_id)
        entry = harness.world.entry(host.upload.run_id)
        suspended.append(
            entry is not None and entry.suspended is not None and entry.needs_attention(host.now)
        )
        scheduled = host.deliver("schedule_due_runs")
        suspended.append(host.upload.run_id not in scheduled)
        ended.append(neighbour.carry())
        harness.world.mend_record(host.upload.run_id)

    end = host.carry(spoil)
    met = sum(host.faults.values())
    verdict = harness.assess(
        host, end, frozenset({Stage.STOPPED}), injected=met, holds=bool(suspended) and all(suspended)
    )
    beside = harness.assess(neighbour, next(iter(ended), None), frozenset({Stage.STOPPED}), injected=0)
    return verdict._replace(
        runs=2,
        expected=verdict.expected + beside.expected,
        duplicates=verdict.duplicates + beside.duplicates,
        leaked=verdict.leaked + beside.leaked,
        lost=verdict.lost + beside.lost,
        note="; beside it: ".join(filter(None, (verdict.note, beside.note))),
    )
