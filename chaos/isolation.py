"""One run that cannot go on must hold up no other, must be seen, and must come back when asked to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from chaos.arena import Arena, Case, Verdict
from shared.domain.index import ALERT_SECONDS
from shared.domain.stages import Stage

POISONED = 5
DROPPED = 10
STUCK = 2

ALERT = timedelta(seconds=ALERT_SECONDS)
SLACK = timedelta(minutes=10)


def isolation(arena: Arena) -> Iterator[Case]:
    """Corrupt records beside healthy runs, and lost messages."""
    for _ in range(POISONED):
        yield Case("corrupt record, then retried", partial(_corrupt, arena))
    for _ in range(STUCK):
        yield Case("delete never ends", partial(_stuck, arena))
    for lost in range(1, DROPPED + 1):
        yield Case("queue message lost", partial(_dropped, arena, lost))


def _stuck(arena: Arena) -> Verdict:
    """A delete that never ends: the run is not over, asks for a person after an hour, and ends at last."""
    host = arena.host(warm=True)
    target = host.upload.run_id
    fault = arena.world.emulator.add_fault(
        match={"operation": "endpoint.delete", "target": target}, operation={"status": "Never"}
    )
    seen: list[bool] = []

    def watch(stage: Stage) -> None:
        if stage is not Stage.DELETING:
            return
        began = host.now
        while host.now - began < 2 * ALERT:
            entry = arena.world.entry(target)
            assert entry is not None
            if host.now - began > ALERT + SLACK or host.now - began < ALERT - SLACK:
                seen.append(entry.needs_attention(host.now) is (host.now - began > ALERT))
            seen.append(entry.stage is Stage.DELETING)
            host.tick(entry.due)
        seen.append(arena.world.end_operations("endpoint.delete", target) == 1)

    end = host.carry(watch)
    return arena.judge(host, end, frozenset({Stage.DELETED}), faults=[fault], holds=bool(seen) and all(seen))


def _dropped(arena: Arena, lost: int) -> Verdict:
    host = arena.host(warm=True)
    host.drops = lost
    end = host.carry()
    met = lost - host.drops
    return arena.judge(host, end, frozenset({Stage.DELETED}), injected=met)


def _corrupt(arena: Arena) -> Verdict:
    """Spoil a record while its run is live; mend it once it is parked; ask for it again."""
    host = arena.host(warm=True)
    neighbour = arena.host(warm=True)
    parked: list[bool] = []
    ended: list[Stage | None] = []

    def spoil(stage: Stage) -> None:
        if stage is not Stage.LIVE:
            return
        arena.world.spoil_record(host.upload.run_id)
        host.deliver("advance_run", host.upload.run_id)
        entry = arena.world.entry(host.upload.run_id)
        parked.append(entry is not None and entry.parked is not None and entry.needs_attention(host.now))
        scheduled = host.deliver("schedule_advances")
        parked.append(host.upload.run_id not in scheduled)
        ended.append(neighbour.carry())
        arena.world.mend_record(host.upload.run_id)

    end = host.carry(spoil)
    met = sum(host.faults.values())
    verdict = arena.judge(
        host, end, frozenset({Stage.DELETED}), injected=met, holds=bool(parked) and all(parked)
    )
    beside = arena.judge(neighbour, next(iter(ended), None), frozenset({Stage.DELETED}), injected=0)
    return verdict._replace(
        runs=2,
        expected=verdict.expected + beside.expected,
        duplicates=verdict.duplicates + beside.duplicates,
        leaked=verdict.leaked + beside.leaked,
        lost=verdict.lost + beside.lost,
        note="; beside it: ".join(filter(None, (verdict.note, beside.note))),
    )
