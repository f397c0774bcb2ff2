"""The last delivery of a message: who is parked, who is not, and who comes back by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from handlers.request_changes import retry_run
from handlers.schedule_advances import schedule_advances
from handlers.take_message import LAST_TRY, PARKED_FOR, UNHEARD_OF, take_message
from shared.domain.decide import LAST_RESORT
from shared.domain.errors import CorruptRunError, RunChangedError, TransientServiceError
from shared.domain.index import IndexEntry
from shared.domain.observation import Provisioning, SeenEndpoint, SeenJob
from shared.domain.stages import Stage
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, Crash, Trip, fragile, stages, upload


def take(world: World, delivery: int, run_id: str = RUN_ID, trip: Trip | None = None) -> None:
    """Deliver a run's message."""
    services = fragile(world.services, trip) if trip else world.services
    take_message(run_id, delivery=delivery, settings=SETTINGS, services=services)


def entry(world: World) -> IndexEntry:
    """The one run as the index shows it."""
    (only,) = world.runs.entries()
    return only


def raising(fault: BaseException) -> Callable[..., None]:
    """Something that never works."""

    def call(*_arguments: object) -> None:
        raise fault

    return call


@pytest.mark.parametrize("fault", [TransientServiceError("ServerBusy"), RunChangedError("again")])
def test_a_busy_service_parks_nobody(fault: Exception) -> None:
    """However often a save was refused, the timer goes on naming the run."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.cloud.jobs[RUN_ID] = SeenJob("Running")
    world.runs.before_write = raising(fault)
    for delivery in range(1, LAST_TRY + 1):
        with pytest.raises(type(fault)):
            take(world, delivery)
        assert schedule_advances(world.services) == [RUN_ID]
    assert entry(world).parked is None


def test_a_run_whose_worker_dies_at_each_delivery_is_parked() -> None:
    """Nobody is left to say so, and yet it is seen; after an hour the timer tries it again."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.cloud.job = raising(Crash())  # type: ignore[method-assign,assignment]
    for delivery in range(1, LAST_TRY + 1):
        assert schedule_advances(world.services) == [RUN_ID]
        with pytest.raises(Crash):
            take(world, delivery)
    assert entry(world).parked == UNHEARD_OF
    assert entry(world).needs_attention(world.now)
    assert schedule_advances(world.services) == []
    world.now += PARKED_FOR
    assert schedule_advances(world.services) == [RUN_ID]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_call_of_the_last_attempt_loses_no_run(after: bool) -> None:
    """Parked or not, an hour later the run goes on, and is parked no more."""
    at = 0
    while True:
        world = World()
        run_id = upload(world)
        trip = Trip(at, after)
        try:
            take(world, LAST_TRY, run_id, trip)
            break
        except Crash:
            world.claims.held.clear()
        world.now += PARKED_FOR
        assert schedule_advances(world.services) == [run_id], trip.calls[-1]
        take(world, 1, run_id)
        # Within the hour, one that was live already has idled.
        assert Stage.LIVE in stages(world.runs.load(run_id).run)
        assert entry(world).parked is None
        at += 1
    assert at > 40


def test_a_last_attempt_that_saves_nothing_parks_nobody() -> None:
    """The run backs off, is over, or is in another worker's hands: all is well with it."""
    world = World()
    waits = a_run(Stage.TRAINING, failures=1, due=NOW + timedelta(minutes=1))
    for run in (waits, a_run(Stage.FAILED)):
        world.runs.blobs.clear()
        world.runs.create(run)
        take(world, LAST_TRY)
        assert entry(world).parked is None
        with world.claims.hold(RUN_ID):
            take(world, LAST_TRY)
        assert entry(world).parked is None


def test_a_run_that_is_over_is_not_parked() -> None:
    """A worker may die between the end of its run and saying that it had come to one."""
    world = World()
    world.runs.create(a_run(Stage.FAILED))
    world.runs.park(RUN_ID, UNHEARD_OF, until=NOW)
    assert not entry(world).needs_attention(NOW)
    assert not entry(world).is_due(NOW)


def test_a_teardown_goes_on_whatever_it_meets() -> None:
    """An error nobody foresaw is one more fault to back off from: the run is neither parked nor ended."""
    world = World()
    world.runs.create(a_run(Stage.DELETING, outcome=Stage.CANCELED))
    world.cloud.seen[RUN_ID] = SeenEndpoint(Provisioning.READY, None, {})
    world.cloud.faults["delete"] = [KeyError("properties") for _ in range(LAST_TRY)]
    for failures in range(1, LAST_TRY + 1):
        take(world, LAST_TRY)
        run = world.runs.load(RUN_ID).run
        assert run.last_fault is not None
        assert (run.failures, run.last_fault.code, entry(world).parked) == (failures, "KeyError", None)
        assert run.due == world.now + LAST_RESORT
        world.now = run.due
    take(world, 1)
    assert entry(world).stage is Stage.CANCELED
    assert world.cloud.seen == {}


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.DELETING])
def test_a_corrupt_record_is_looked_at_again_each_hour(stage: Stage) -> None:
    """Whoever mends it needs to tell nobody, but may; until then it is parked."""
    world = World()
    run = a_run(stage)
    world.runs.create(run)
    world.runs.corrupt(RUN_ID)
    for _ in range(3):
        assert schedule_advances(world.services) == [RUN_ID]
        with pytest.raises(CorruptRunError):
            take(world, LAST_TRY)
        assert entry(world).needs_attention(world.now)
        assert schedule_advances(world.services) == []
        world.now += PARKED_FOR
    world.runs.corrupt(RUN_ID, msgspec.json.encode(run))
    assert schedule_advances(world.services) == [RUN_ID]
    take(world, 1)
    assert entry(world).parked is None


def test_a_message_during_the_backoff_changes_nothing() -> None:
    """What the service asked for is heeded whoever comes by; a person's retry goes through."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.cloud.jobs[RUN_ID] = SeenJob("Running")
    world.cloud.faults["job"] = [TransientServiceError("busy", retry_after=600.0) for _ in range(2)]
    take(world, 1)
    before = world.runs.load(RUN_ID)
    assert before.run.due == NOW + timedelta(minutes=10)
    world.now += timedelta(minutes=9)
    take(world, 1)
    assert world.runs.load(RUN_ID) == before
    retry_run(RUN_ID, world.services)
    take(world, 1)
    assert world.runs.load(RUN_ID).run.failures == 2
