"""Which runs a tick advances, and in what order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from handlers.http.request_changes import cancel_run
from handlers.timers.schedule_due_runs import schedule_due_runs
from shared.domain.run.index import IndexEntry
from shared.domain.run.index_metadata import entry_of
from shared.domain.run.scheduling import NEXT_IN_TURN, OTHERS_WAITING, runs_to_advance
from shared.domain.run.slot_kind import SlotKind, SlotRequest
from shared.domain.run.stages import Stage
from tests.app.builders import NOW, PLAN, a_run
from tests.app.fakes import World

pytestmark = pytest.mark.unit

MANY = 1_000
HOUR = timedelta(hours=1)


def waiting(number: int, kind: SlotKind = SlotKind.TRAINING, **changes: Any) -> IndexEntry:
    """A run that asked for a slot and was refused; the higher its number, the later it was opened."""
    stage = Stage.VALIDATED if kind is SlotKind.TRAINING else Stage.REGISTERED
    now = NOW + timedelta(seconds=number)
    refused = SlotRequest(kind=kind, acquired=False, at=now)
    facts = {"plan": PLAN, "claimed": True, "slot": refused, "due": now, **changes}
    name = f"ft-{kind.value[0]}-{number:010x}"
    return entry_of(a_run(stage, now=now, run_id=name, dataset=f"d{number}x", **facts))


def test_a_tick_looks_at_few_of_many_that_wait() -> None:
    """As many for a thousand as for a hundred, and all of them in time, those next in turn at each tick."""
    entries = {number: waiting(number) for number in range(MANY)}
    first = [entries[number].run_id for number in range(NEXT_IN_TURN)]
    now, seen = NOW + HOUR, set()
    for _ in range(1 + MANY // OTHERS_WAITING):
        named = runs_to_advance(entries.values(), now)
        assert len(named) <= NEXT_IN_TURN + OTHERS_WAITING
        assert set(first) <= set(named)
        seen |= set(named)
        # Each that was looked at is due again a minute later.
        entries = {
            number: entry._replace(due=now) if entry.run_id in named else entry
            for number, entry in entries.items()
        }
        now += timedelta(minutes=1)
    assert len(seen) == MANY
    assert len(runs_to_advance([waiting(number) for number in range(5)], now)) == 5


def test_who_waits_for_a_training_slot_holds_up_no_endpoint() -> None:
    """Each kind of slot has turns of its own, and runs that do something are not counted."""
    training = [waiting(number) for number in range(MANY)]
    endpoints = [waiting(number, SlotKind.ENDPOINT) for number in range(3)]
    busy = [entry_of(a_run(Stage.TRAINING, run_id=f"ft-b-{number:010x}")) for number in range(MANY)]
    named = runs_to_advance([*training, *endpoints, *busy], NOW + HOUR)
    assert {entry.run_id for entry in (*endpoints, *busy)} <= set(named)


def test_teardowns_and_requests_come_first() -> None:
    """However long others have been due."""
    overdue = [entry_of(a_run(Stage.TRAINING, run_id=f"ft-t-{number:010x}")) for number in range(100)]
    soon = NOW + timedelta(minutes=59)
    urgent = [
        entry_of(a_run(Stage.DELETING, run_id="ft-going-0000000001", due=soon)),
        entry_of(a_run(Stage.LIVE, run_id="ft-over-0000000002", due=soon)),
        waiting(3, due=soon)._replace(asked=True),
    ]
    named = runs_to_advance([*overdue, *urgent], NOW + HOUR)
    assert set(named[:3]) == {entry.run_id for entry in urgent}


def test_a_request_of_a_run_that_waits_is_found_though_its_message_is_lost() -> None:
    """It is the last of a thousand, and its caller wants it to end."""
    world = World()
    last = a_run(
        Stage.VALIDATED,
        plan=PLAN,
        claimed=True,
        slot=SlotRequest(kind=SlotKind.TRAINING, acquired=False, at=NOW),
    )
    world.runs.create(last)
    cancel_run(last.run_id, world.services)
    (entry,) = world.runs.entries()
    assert entry.asked
    entries = [waiting(number) for number in range(MANY)]
    world.runs.entries = lambda: [*entries, entry]  # type: ignore[method-assign]
    world.now += HOUR
    assert schedule_due_runs(world.services)[0] == last.run_id


def test_who_waits_is_not_left_behind() -> None:
    """Nobody needs to look at a run that is overdue because its turn has not come."""
    entry = waiting(0)
    assert not entry.needs_attention(NOW + timedelta(days=3))
    assert entry._replace(asked=True).needs_attention(NOW + timedelta(days=3))
