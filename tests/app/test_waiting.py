"""Waiting is short, and says for what."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from handlers.events.advance_message import handle_advance_message
from handlers.http.run_views import entry_view, run_view
from shared.domain.errors import ServiceRefusedError
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, drive, rows, upload

ONE = msgspec.structs.replace(SETTINGS, max_training_runs=1)


def shown(world: World, run: Run) -> str | None:
    """What the run waits for, which the list shows as the run itself does."""
    (entry,) = (entry for entry in world.runs.entries() if entry.run_id == run.run_id)
    whole = run_view(run, world.now).waiting_for
    listed = entry_view(entry, world.now).waiting_for
    assert listed == whole or (whole or "").startswith(listed or " ")
    return whole


def test_a_run_that_is_due_soon_is_not_left_to_the_timer() -> None:
    """Each wait of less than a minute queues one message for its end; only the newest of them counts."""
    world = World()
    world.cloud.slow = True
    run = advance(world, upload(world))
    assert run.due == world.now + timedelta(seconds=SETTINGS.operation_poll_seconds)
    ((message, delay),) = world.advance_queue.waiting
    assert delay == timedelta(seconds=SETTINGS.operation_poll_seconds)

    world.now += timedelta(seconds=9)
    again = advance(world, run.run_id)  # the timer's message, or an event's
    assert len(world.advance_queue.waiting) == 2
    world.now += timedelta(seconds=1)
    handle_advance_message(message, delivery=1, settings=SETTINGS, services=world.services)
    assert world.runs.load(run.run_id).run == again, "that message is stale"
    assert len(world.advance_queue.waiting) == 2, "and begins no second series"

    world.now += timedelta(seconds=9)
    world.cloud.settle()
    newest = world.advance_queue.waiting[-1][0]
    handle_advance_message(newest, delivery=1, settings=SETTINGS, services=world.services)
    run = world.runs.load(run.run_id).run
    assert run.stage is Stage.TRAINING
    assert len(world.advance_queue.waiting) == 2, "a minute is the timer's"


def test_what_a_run_waits_for_is_said() -> None:
    """A slot with its turn, a cluster, capacity, quota; nothing while it is at work or at rest."""
    world = World()
    world.cloud.slow = True
    first = upload(world)
    run = advance(world, first, ONE)
    assert shown(world, run) == "cluster gpu-cluster"
    run = drive(world, first, Stage.TRAINING, ONE)
    assert shown(world, run) is None
    second = advance(world, upload(world, "other.jsonl", rows(tag=" again")), ONE)
    third = advance(world, upload(world, "third.jsonl", rows(tag=" once more")), ONE)
    assert shown(world, second) == "training slot, 1 of 1 in use, position 1"
    assert shown(world, third) == "training slot, 1 of 1 in use, position 2"

    full = "the VM size failed to provision"
    world.cloud.faults["deploy"] = [ServiceRefusedError(full, code="OutOfCapacity", status=400)] * 20
    while run.stage is not Stage.DEPLOYING or not run.failures:
        run = advance(world, first, ONE)
        assert run.due is not None
        world.now = run.due
        world.cloud.settle()
    assert shown(world, run) == f"capacity: {full}"
    world.cloud.faults.clear()
    assert shown(world, drive(world, first, Stage.LIVE, ONE)) is None
    assert shown(world, drive(world, first, Stage.STOPPED, ONE)) is None
