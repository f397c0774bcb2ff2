"""The timers and the queue: what is due, what is removed, what is suspended."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from handlers.events.advance_message import MAX_DELIVERIES, handle_advance_message
from handlers.timers.reconcile_resources import reconcile_resources
from handlers.timers.schedule_due_runs import schedule_due_runs
from shared.domain.errors import CorruptRunError, ServiceRefusedError, TransientServiceError
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import EndpointStatus, Provisioning
from shared.domain.run.stages import Stage
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, drive, upload

SOON = NOW + timedelta(seconds=1)


def named(number: int) -> str:
    """A run id."""
    return f"ft-a-{number:010x}"


def with_endpoint(world: World, name: str, run_id: str | None = None) -> None:
    """An endpoint is there, with this app's tag if it names a run."""
    world.cloud.seen[name] = EndpointStatus(Provisioning.READY, None, {})
    world.cloud.tags[name] = {RUN_TAG: run_id} if run_id else {"team": "other"}


def test_the_timer_names_the_runs_that_are_due() -> None:
    """Due, and not suspended; one listing, no record read."""
    world = World()
    for number, due in enumerate([NOW, SOON, None, NOW]):
        world.runs.create(a_run(Stage.TRAINING, run_id=named(number), due=due))
    world.runs.suspend(named(3), "why", until=NOW + timedelta(hours=1))
    for name in map(named, range(4)):
        world.runs.corrupt(name)
    assert schedule_due_runs(world.services) == [named(0)]


def test_a_run_whose_message_was_lost_is_found() -> None:
    """A request on the record is enough."""
    world = World()
    world.runs.create(a_run(Stage.LIVE, due=NOW))
    assert schedule_due_runs(world.services) == [RUN_ID]


def take(world: World, text: str, delivery: int = 1) -> None:
    """Deliver a message."""
    handle_advance_message(text, delivery=delivery, settings=SETTINGS, services=world.services)


@pytest.mark.parametrize(
    "text", ["", "x", "../runs/x", '{"run_id": 1}', "x" * 70_000, RUN_ID + "\n", "\ufffd", RUN_ID]
)
def test_a_message_that_names_no_run_is_dropped(text: str) -> None:
    """Garbage and runs that do not exist are no reason to try five times."""
    take(World(), text)


def test_a_message_advances_its_run() -> None:
    """The one it names."""
    world = World()
    run_id = upload(world)
    take(world, run_id)
    assert world.runs.load(run_id).run.stage is not Stage.RECEIVED


@pytest.mark.parametrize("fault", [CorruptRunError, RecursionError])
def test_a_run_that_fails_at_every_delivery_is_suspended(fault: type[Exception]) -> None:
    """Only at the last one; the error still reaches the host, which moves the message aside."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.cloud.faults["job"] = [fault("broken") for _ in range(MAX_DELIVERIES)]
    if fault is CorruptRunError:
        world.runs.corrupt(RUN_ID)
    for delivery in range(1, MAX_DELIVERIES + 1):
        assert schedule_due_runs(world.services) == [RUN_ID]
        with pytest.raises(fault):
            take(world, RUN_ID, delivery)
    assert schedule_due_runs(world.services) == []
    (entry,) = world.runs.entries()
    assert entry.suspended is not None
    assert entry.suspended.startswith(fault.__name__)


def test_one_broken_run_holds_up_no_other() -> None:
    """The timer goes on naming the others, and they advance."""
    world = World()
    broken, sound = upload(world, "broken.jsonl"), upload(world, "sound.jsonl")
    world.runs.corrupt(broken)
    assert set(schedule_due_runs(world.services)) == {broken, sound}
    with pytest.raises(CorruptRunError):
        take(world, broken, MAX_DELIVERIES)
    assert schedule_due_runs(world.services) == [sound]
    assert advance(world, sound).stage is not Stage.RECEIVED


def test_the_reconciliation_deletes_orphans_and_nothing_else() -> None:
    """Endpoints of ours whose run is over or unknown go; others', and those of runs on their way, stay."""
    world = World()
    world.runs.create(a_run(Stage.FAILED, run_id=named(0), billable=True))
    world.runs.create(a_run(Stage.DEPLOYING, run_id=named(1)))
    world.runs.create(a_run(Stage.DELETING, run_id=named(2)))
    world.runs.create(a_run(Stage.LIVE, run_id=named(3), due=SOON))
    for number in range(5):
        with_endpoint(world, named(number), named(number))
        world.run_lock.seen.add(named(number))
    with_endpoint(world, "somebody-elses")
    assert reconcile_resources(settings=SETTINGS, services=world.services) == [named(3)]
    assert [name for _, name in world.cloud.begun] == [named(0), named(4)]


def test_an_orphan_that_cannot_be_deleted_holds_up_no_other() -> None:
    """The next ones are deleted all the same, and runs that lost their endpoint are still named."""
    world = World()
    for number in range(3):
        with_endpoint(world, named(number), named(number))
        world.run_lock.seen.add(named(number))
    world.runs.create(a_run(Stage.LIVE))
    world.cloud.faults["delete"] = [ServiceRefusedError("locked"), TransientServiceError("busy")]
    assert reconcile_resources(settings=SETTINGS, services=world.services) == [RUN_ID]
    assert set(world.cloud.seen) == {named(0), named(1)}


def test_a_live_run_whose_endpoint_is_gone_is_ended() -> None:
    """Somebody deleted it by hand: the run wants attention, and ends when that has lasted."""
    world = World()
    world.runs.create(a_run(Stage.LIVE, due=NOW + timedelta(hours=1)))
    assert reconcile_resources(settings=SETTINGS, services=world.services) == [RUN_ID]
    assert advance(world, RUN_ID).attention == f"endpoint {RUN_ID} is not in the workspace"
    run = drive(world, RUN_ID, Stage.STOPPED)
    assert run.error is not None
    assert run.error.code == "EndpointGone"


def test_a_live_run_that_cannot_be_looked_at_holds_up_no_other() -> None:
    """A record that cannot be read is found when it is advanced; endpoints are listed in one call."""
    world = World()
    for number in range(3):
        world.runs.create(a_run(Stage.LIVE, run_id=named(number), due=SOON))
    world.runs.corrupt(named(1))
    world.busy("endpoint")
    lost = reconcile_resources(settings=SETTINGS, services=world.services)
    assert lost == [named(0), named(1), named(2)]


def test_a_suspended_runs_endpoint_does_not_outlive_its_time() -> None:
    """A live run that cannot be advanced still costs money: reconciliation ends it at its expiry."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    with_endpoint(world, RUN_ID, RUN_ID)
    world.runs.suspend(RUN_ID, "CorruptRunError", until=NOW + timedelta(hours=1))
    world.runs.corrupt(RUN_ID)
    reconcile_resources(settings=SETTINGS, services=world.services)
    assert RUN_ID in world.cloud.seen
    world.now += timedelta(hours=23)
    reconcile_resources(settings=SETTINGS, services=world.services)
    assert RUN_ID in world.cloud.seen
    world.now += timedelta(hours=1)
    reconcile_resources(settings=SETTINGS, services=world.services)
    assert world.cloud.seen == {}


def test_the_reconciliation_does_not_touch_what_is_being_deployed() -> None:
    """A run between creating its endpoint and saving so is on its way, not an orphan."""
    world = World()
    run = msgspec.structs.replace(a_run(Stage.DEPLOYING), run_id=RUN_ID)
    world.runs.create(run)
    with_endpoint(world, RUN_ID, RUN_ID)
    assert reconcile_resources(settings=SETTINGS, services=world.services) == []
    assert world.cloud.begun == []
