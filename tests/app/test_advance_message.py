"""The last delivery of a message: who is suspended, who is not, and who comes back by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from handlers.events.advance_message import (
    MAX_DELIVERIES,
    NEVER_FINISHED,
    SUSPENDED_FOR,
    handle_advance_message,
)
from handlers.http.request_changes import retry_run
from handlers.timers.schedule_due_runs import schedule_due_runs
from shared.domain.errors import CorruptRunError, RunChangedError, TransientServiceError
from shared.domain.run.index import IndexEntry
from shared.domain.run.observation import EndpointStatus, JobStatus, Provisioning
from shared.domain.run.stages import Stage
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, Crash, Trip, fragile, stages, upload


def take(world: World, delivery: int, run_id: str = RUN_ID, trip: Trip | None = None) -> None:
    """Deliver a run's message."""
    services = fragile(world.services, trip) if trip else world.services
    handle_advance_message(run_id, delivery=delivery, settings=SETTINGS, services=services)


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
def test_a_busy_service_suspends_no_run(fault: Exception) -> None:
    """However often a save was refused, the timer goes on naming the run."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.cloud.jobs[RUN_ID] = JobStatus("Running")
    world.runs.before_write = raising(fault)
    for delivery in range(1, MAX_DELIVERIES + 1):
        with pytest.raises(type(fault)):
            take(world, delivery)
        assert schedule_due_runs(world.services) == [RUN_ID]
    assert entry(world).suspended is None


def test_a_run_whose_worker_dies_at_each_delivery_is_suspended() -> None:
    """Nobody is left to say so, and yet it is seen; after an hour the timer tries it again."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.cloud.job = raising(Crash())  # type: ignore[method-assign,assignment]
    for delivery in range(1, MAX_DELIVERIES + 1):
        assert schedule_due_runs(world.services) == [RUN_ID]
        with pytest.raises(Crash):
            take(world, delivery)
    assert entry(world).suspended == NEVER_FINISHED
    assert entry(world).needs_attention(world.now)
    assert schedule_due_runs(world.services) == []
    world.now += SUSPENDED_FOR
    assert schedule_due_runs(world.services) == [RUN_ID]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_call_of_the_last_attempt_loses_no_run(after: bool) -> None:
    """Suspended or not, an hour later the run goes on, and is suspended no more."""
    at = 0
    while True:
        world = World()
        run_id = upload(world)
        trip = Trip(at, after)
        try:
            take(world, MAX_DELIVERIES, run_id, trip)
            break
        except Crash:
            world.run_lock.held.clear()
        world.now += SUSPENDED_FOR
        assert schedule_due_runs(world.services) == [run_id], trip.calls[-1]
        take(world, 1, run_id)
        # Within the hour, one that was live already has idled.
        assert Stage.LIVE in stages(world.runs.load(run_id).run)
        assert entry(world).suspended is None
        at += 1
    assert at > 40


def test_a_last_attempt_that_saves_nothing_suspends_no_run() -> None:
    """The run backs off, is over, or is in another worker's hands: all is well with it."""
    world = World()
    waits = a_run(Stage.TRAINING, failures=1, due=NOW + timedelta(minutes=1))
    for run in (waits, a_run(Stage.FAILED)):
        world.runs.blobs.clear()
        world.runs.create(run)
        take(world, MAX_DELIVERIES)
        assert entry(world).suspended is None
        with world.run_lock.acquire(RUN_ID):
            take(world, MAX_DELIVERIES)
        assert entry(world).suspended is None


def test_a_run_that_is_over_is_not_suspended() -> None:
    """A worker may die between the end of its run and saying that it had come to one."""
    world = World()
    world.runs.create(a_run(Stage.FAILED))
    world.runs.suspend(RUN_ID, NEVER_FINISHED, until=NOW)
    assert not entry(world).is_stuck(NOW)
    assert not entry(world).is_due(NOW)


def test_a_teardown_goes_on_whatever_it_meets() -> None:
    """An error nobody foresaw is one more fault to back off from: the run is neither suspended nor ended."""
    world = World()
    world.runs.create(a_run(Stage.DELETING, outcome=Stage.CANCELED))
    world.cloud.seen[RUN_ID] = EndpointStatus(Provisioning.READY, None, {})
    world.cloud.faults["delete"] = [KeyError("properties") for _ in range(MAX_DELIVERIES)]
    for failures in range(1, MAX_DELIVERIES + 1):
        take(world, MAX_DELIVERIES)
        run = world.runs.load(RUN_ID).run
        assert run.last_fault is not None
        assert (run.failures, run.last_fault.code, entry(world).suspended) == (failures, "KeyError", None)
        assert run.due is not None
        assert run.due > world.now
        world.now = run.due
    take(world, 1)
    world.now += SETTINGS.limits().refusal_deadline
    take(world, 1)
    assert entry(world).stage is Stage.CANCELED
    assert world.cloud.seen == {}


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.DELETING])
def test_a_corrupt_record_is_looked_at_again_each_hour(stage: Stage) -> None:
    """Whoever mends it needs to tell nobody, but may; until then it is suspended."""
    world = World()
    run = a_run(stage)
    world.runs.create(run)
    world.runs.corrupt(RUN_ID)
    for _ in range(3):
        assert schedule_due_runs(world.services) == [RUN_ID]
        with pytest.raises(CorruptRunError):
            take(world, MAX_DELIVERIES)
        assert entry(world).needs_attention(world.now)
        assert schedule_due_runs(world.services) == []
        world.now += SUSPENDED_FOR
    world.runs.corrupt(RUN_ID, msgspec.json.encode(run))
    assert schedule_due_runs(world.services) == [RUN_ID]
    take(world, 1)
    assert entry(world).suspended is None


def test_a_message_during_the_backoff_changes_nothing() -> None:
    """What the service asked for is heeded whoever comes by; a person's retry goes through."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))
    world.cloud.jobs[RUN_ID] = JobStatus("Running")
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
