"""Waiting is short, and says for what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from handlers.events.advance_message import handle_advance_message
from handlers.http.entry_views import entry_view
from handlers.http.request_changes import start_run
from handlers.http.run_views import run_view
from shared.config import Settings, SettingsError
from shared.domain.errors import ServiceRefusedError
from shared.domain.run.availability import read_hours
from shared.domain.run.cost import NO_PRICES, Prices, run_cost
from shared.domain.run.run import Run
from shared.domain.run.run_json import override_options
from shared.domain.run.stages import Stage
from tests.app.fakes import World
from tests.app.worlds import EXAMPLE, SETTINGS, advance, drive, rows, upload

ONE = msgspec.structs.replace(SETTINGS, max_training_runs=1)


def shown(world: World, run: Run) -> str | None:
    """What the run waits for, which the list shows as the run itself does."""
    (entry,) = (entry for entry in world.runs.entries() if entry.run_id == run.run_id)
    whole = run_view(run, world.now).waiting_for
    listed = entry_view(entry, world.now, NO_PRICES).waiting_for
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

    world.now += timedelta(seconds=4)
    again = advance(world, run.run_id)  # the timer's message, or an event's
    assert len(world.advance_queue.waiting) == 2
    world.now += timedelta(seconds=1)
    handle_advance_message(message, delivery=1, settings=SETTINGS, services=world.services)
    assert world.runs.load(run.run_id).run == again, "that message is stale"
    assert len(world.advance_queue.waiting) == 2, "and begins no second series"

    world.now += timedelta(seconds=4)
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


BERLIN = "Mon-Fri 07:00-19:00 Europe/Berlin"


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "moment", "opens", "closes", "is_open"),
    [
        (BERLIN, "2026-03-04T12:00", "2026-03-05T06:00", "2026-03-04T18:00", True),
        (BERLIN, "2026-03-04T18:00", "2026-03-05T06:00", "2026-03-05T18:00", False),
        (BERLIN, "2026-03-27T19:00", "2026-03-30T05:00", "2026-03-30T17:00", False),  # summer time between
        ("Sat-Mon 22:00-06:00 UTC", "2026-03-02T05:00", "2026-03-02T22:00", "2026-03-02T06:00", True),
        ("Wed 09:00-10:00 Asia/Tokyo", "2026-03-04T01:30", "2026-03-11T00:00", "2026-03-11T01:00", False),
    ],
)
def test_hours_are_those_of_the_zones_clocks(
    hours: str, moment: str, opens: str, closes: str, is_open: bool
) -> None:
    """Across weekends, midnight and the change of the clocks."""
    read, now = read_hours(hours), at(moment)
    assert (read.opening_after(now), read.closing_after(now)) == (at(opens), at(closes))
    assert read.is_open(now) is is_open


@pytest.mark.parametrize(
    "wrong", ["always", "Mon-Fri 7-19 UTC", "Mon 07:00-19:00 Europe/Nowhere", "Mo 07:00-19:00 UTC"]
)
def test_hours_that_say_nothing_are_refused(wrong: str) -> None:
    """In run.json and in the settings, by name."""
    text = msgspec.json.encode({"available": wrong})
    _, (problem,) = override_options(SETTINGS.default_options(), text, SETTINGS.bounds())
    assert "available" in str(problem)
    with pytest.raises(SettingsError, match="AVAILABLE"):
        Settings.from_env({**EXAMPLE, "BASE_MODEL": "Phi-4", "AVAILABLE": wrong})


def test_a_week_by_the_schedule() -> None:
    """Live in its hours and stopped between them, trained once; what was saved is counted over all stops."""
    settings = msgspec.structs.replace(SETTINGS, available=BERLIN, endpoint_idle_minutes=0)
    world = World()
    world.now = at("2026-03-06T20:00")  # a Friday evening
    run_id = upload(world, settings=settings)
    run = drive(world, run_id, Stage.REGISTERED, settings)
    run = advance(world, run_id, settings)
    assert (run.stage, run.due) == (Stage.REGISTERED, at("2026-03-09T06:00"))
    assert shown(world, run) == f"its hours, {BERLIN}"
    live = drive(world, run_id, Stage.LIVE, settings)
    assert live.due == at("2026-03-09T18:00")
    stopped = drive(world, run_id, Stage.STOPPED, settings)
    assert stopped.end_reason == f"its hours ended: {BERLIN}"
    assert advance(world, run_id, settings).due == at("2026-03-10T06:00")
    assert [entry.run_id for entry in world.runs.entries() if entry.is_due(at("2026-03-10T06:00"))] == [
        run_id
    ]
    again = drive(world, run_id, Stage.LIVE, settings)
    assert world.now - at("2026-03-10T06:00") < timedelta(minutes=10)
    cost = run_cost(again, Prices({"Standard_NC24ads_A100_v4": 2.0}, "EUR"), world.now)
    assert cost.saved_cost is not None
    assert 22 < cost.saved_cost < 24, "eleven and a half hours of the night"
    drive(world, run_id, Stage.STOPPED, settings)
    start_run(run_id, {}, settings=settings, services=world.services)
    evening = drive(world, run_id, Stage.LIVE, settings)
    assert world.now < at("2026-03-10T19:00"), "who asks for it gets it out of hours, too"
    assert evening.ends_at == at("2026-03-11T18:00")
    assert [call for call, _ in world.cloud.begun].count("submit") == 1
