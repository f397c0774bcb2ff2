"""Budget guards: never more than so many, first opened first served, and no place is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from handlers.observe import observe
from handlers.sweep_endpoints import sweep_endpoints
from handlers.take_place import take_place
from shared.domain.index import IndexEntry, from_metadata, to_metadata
from shared.domain.names import RUN_TAG
from shared.domain.observation import Provisioning, SeenCompute, SeenEndpoint, SeenJob
from shared.domain.places import Place, may_take, taken
from shared.domain.run import JobFacts, Run, StageEntry, enter
from shared.domain.stages import Stage
from shared.ports import Services
from tests.app.builders import NOW, PLAN, RUN_ID, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance

ONE = msgspec.structs.replace(SETTINGS, max_training_runs=1, max_live_endpoints=1)
OTHER = "ft-b-0123456789"
WAITING = {Place.TRAINING: Stage.VALIDATED, Place.ENDPOINT: Stage.REGISTERED}
USING = {Place.TRAINING: Stage.TRAINING, Place.ENDPOINT: Stage.LIVE}


def entry(run: Run) -> IndexEntry:
    """The run as the index shows it."""
    return from_metadata(run.run_id, to_metadata(run))


def opened(run: Run, run_id: str, at: datetime) -> Run:
    """The run under another name, opened at another time."""
    first = StageEntry(stage=Stage.RECEIVED, at=at)
    return msgspec.structs.replace(run, run_id=run_id, history=(first, *run.history[1:]))


def waiting(place: Place, count: int) -> list[Run]:
    """Runs that wait for a place, opened a second after each other."""
    run = a_run(WAITING[place], plan=PLAN, claimed=True)
    return [
        opened(run, f"ft-a-{number:010x}", NOW - timedelta(seconds=count - number)) for number in range(count)
    ]


def allowed(run: Run, place: Place, entries: list[IndexEntry], limit: int, *listed: str) -> bool:
    """Whether a run may take a place, by that list and index."""
    return may_take(run, place, taken(place, listed, entries), entries, limit)


@pytest.mark.parametrize("place", Place)
def test_first_opened_is_first_served(place: Place) -> None:
    """Of ten runs that all decide at once on the same listing, exactly as many as fit go on."""
    runs = waiting(place, 10)
    listing = [entry(run) for run in runs] + [entry(a_run(USING[place], run_id=OTHER))]
    chosen = [run.run_id for run in runs if allowed(run, place, listing, 4)]
    assert chosen == [run.run_id for run in runs[:3]]
    assert all(allowed(run, place, listing, 0) for run in runs), "0 is no limit"


def test_two_runs_of_the_same_moment_do_not_share_a_place() -> None:
    """Equal opening times are told apart by the run id."""
    runs = [opened(a_run(Stage.VALIDATED), f"ft-a-{number:010x}", NOW) for number in range(3)]
    listing = [entry(run) for run in runs]
    assert [allowed(run, Place.TRAINING, listing, 1) for run in runs] == [True, False, False]


def test_a_run_that_is_about_to_submit_has_its_place() -> None:
    """Between the intent and the job, a billable run counts, though it was opened later."""
    about_to = opened(a_run(Stage.VALIDATED, billable=True), OTHER, NOW + timedelta(hours=1))
    assert not allowed(a_run(Stage.VALIDATED), Place.TRAINING, [entry(about_to)], 1)


def test_a_parked_run_holds_nobody_up() -> None:
    """What waits for a person is not waited for."""
    (ahead,) = waiting(Place.TRAINING, 1)
    run = opened(a_run(Stage.VALIDATED), RUN_ID, NOW)
    assert not allowed(run, Place.TRAINING, [entry(ahead)], 1)
    assert allowed(run, Place.TRAINING, [entry(ahead)._replace(parked="why")], 1)


def test_a_run_that_keeps_failing_holds_nobody_up() -> None:
    """It may do so for half a day; one that stumbled once or twice is waited for."""
    (ahead,) = waiting(Place.TRAINING, 1)
    run = opened(a_run(Stage.VALIDATED), RUN_ID, NOW)
    stumbled, failing = (msgspec.structs.replace(ahead, failures=failures) for failures in (2, 3))
    assert not allowed(run, Place.TRAINING, [entry(stumbled)], 1)
    assert allowed(run, Place.TRAINING, [entry(failing)], 1)


@pytest.mark.parametrize("place", Place)
def test_a_record_that_cannot_be_read_gives_its_place_back(place: Place) -> None:
    """Once the sweeper has taken away what it stood for, and not before."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(USING[place], run_id=OTHER))
    world.cloud.jobs[OTHER] = SeenJob("Running")
    world.cloud.seen[OTHER] = SeenEndpoint(Provisioning.READY, None, {})
    world.cloud.tags[OTHER] = {RUN_TAG: OTHER}
    world.runs.corrupt(OTHER)
    world.runs.park(OTHER, "CorruptRunError", until=NOW + timedelta(days=99))
    (run,) = waiting(place, 1)
    world.now = NOW + max(SETTINGS.limits().training_deadline, timedelta(hours=24))
    assert not take_place(run, place, ONE, world.services)
    sweep_endpoints(settings=ONE, services=world.services)
    assert not take_place(run, place, ONE, world.services), "on its way, but still there"
    world.busy("job")
    world.busy("endpoint")
    world.cloud.settle()
    assert not take_place(run, place, ONE, world.services), "who cannot be seen may be there"
    assert take_place(run, place, ONE, world.services)
    assert world.claims.places(place).runs == {run.run_id}


def test_a_parked_run_that_has_yet_to_submit_keeps_its_place() -> None:
    """Nothing of it is there, and it will submit without asking again once somebody has mended it."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(Stage.VALIDATED, run_id=OTHER, plan=PLAN, claimed=True))
    world.cloud.faults["submit"] = [KeyError("nobody foresaw this")]
    with pytest.raises(KeyError):
        advance(world, OTHER, ONE)
    world.runs.park(OTHER, "KeyError", until=NOW + timedelta(days=9))
    world.now = NOW + timedelta(days=4)
    world.runs.create(a_run(Stage.VALIDATED, plan=PLAN, claimed=True, now=world.now))
    advance(world, RUN_ID, ONE)
    world.runs.unpark(OTHER)
    advance(world, OTHER, ONE)
    assert list(world.cloud.jobs) == [OTHER]


def test_a_parked_run_that_is_tried_again_keeps_its_place() -> None:
    """Another asks at the very moment at which it goes on."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(Stage.REGISTERED, run_id=OTHER))
    assert take_place(world.runs.load(OTHER).run, Place.ENDPOINT, ONE, world.services)
    world.runs.park(OTHER, "why", until=NOW + timedelta(hours=3))
    world.now = NOW + timedelta(hours=3)
    world.runs.create(a_run(Stage.REGISTERED, now=world.now))

    def ask() -> None:
        world.runs.before_write = _nothing
        advance(world, RUN_ID, ONE)

    world.runs.before_write = ask
    advance(world, OTHER, ONE)
    assert list(world.cloud.seen) == [OTHER]


def _nothing() -> None:
    return None


def test_an_endpoint_that_is_being_deleted_still_counts() -> None:
    """Its cores are not free before it is gone."""
    going = entry(a_run(Stage.DELETING, run_id=OTHER))
    assert not allowed(a_run(Stage.REGISTERED), Place.ENDPOINT, [going], 1)


@pytest.mark.parametrize(
    ("status", "free"), [("Running", False), ("CancelRequested", False), ("Canceled", True)]
)
def test_a_job_that_is_being_canceled_still_counts(status: str, free: bool) -> None:
    """A teardown holds its training place until its job is seen to be over; one never seen counts, too."""
    going = a_run(Stage.DELETING, run_id=OTHER, job=JobFacts(name=OTHER, status=status))
    assert allowed(a_run(Stage.VALIDATED), Place.TRAINING, [entry(going)], 1) is free
    unseen = a_run(Stage.DELETING, run_id=OTHER, job=None)
    assert not allowed(a_run(Stage.VALIDATED), Place.TRAINING, [entry(unseen)], 1)


def test_a_canceled_job_keeps_its_place_until_it_has_stopped() -> None:
    """Through the whole app: the next run waits while the one before is still being stopped."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(Stage.TRAINING, run_id=OTHER, job=JobFacts(name=OTHER, status="Running")))
    world.cloud.jobs[OTHER] = SeenJob("Running")
    world.runs.create(a_run(Stage.VALIDATED, plan=PLAN, claimed=True))
    world.runs.update(OTHER, lambda run: enter(run, Stage.DELETING, world.now))
    assert advance(world, OTHER, ONE).stage is Stage.DELETING
    assert world.cloud.jobs[OTHER].status == "CancelRequested"
    assert advance(world, RUN_ID, ONE).stage is Stage.VALIDATED
    world.cloud.settle()
    assert advance(world, OTHER, ONE).stage.terminal
    assert advance(world, RUN_ID, ONE).stage is Stage.TRAINING


@pytest.mark.parametrize(
    ("place", "stages"),
    [
        (Place.TRAINING, {Stage.RECEIVED, Stage.VALIDATED, Stage.TRAINING}),
        (Place.ENDPOINT, {stage for stage in Stage if not stage.terminal}),
    ],
)
def test_a_place_is_kept_until_it_is_needed_no_more(place: Place, stages: set[Stage]) -> None:
    """A run that was given one has it, whatever the index makes of it by itself, until that stage is past."""
    for stage in Stage:
        holders = taken(place, [OTHER], [entry(a_run(stage, run_id=OTHER))])
        assert (holders == {OTHER}) is (stage in stages)
    assert taken(place, [OTHER], [entry(a_run(Stage.LIVE, run_id=OTHER))._replace(stage=None)]) == {OTHER}
    assert taken(place, [OTHER, "nonsense"], []) == frozenset(), "a run without a record is no more"


def interfering(world: World, act: Callable[[], None]) -> Services:
    """The world's services, with something happening once between a listing and what comes of it."""
    once = iter([True])
    real = world.runs.entries

    def entries() -> Any:
        listing = list(real())
        if next(once, False):
            act()
        return iter(listing)

    world.runs.entries = entries  # type: ignore[method-assign]
    return world.services


def test_a_run_that_listed_first_and_saves_last_takes_no_place_twice() -> None:
    """Between one run's listing and its save another, opened earlier, comes to need the last place."""
    world = World()
    early = opened(a_run(Stage.TRAINING, plan=PLAN), OTHER, NOW - timedelta(hours=1))
    world.runs.create(early)
    world.cloud.jobs[OTHER] = world.cloud.jobs[RUN_ID] = SeenJob("Completed")
    world.runs.create(a_run(Stage.REGISTERED))
    world.cloud.slow = True
    services = interfering(world, lambda: _discard(advance(world, OTHER, ONE)))
    seen = observe(a_run(Stage.REGISTERED), ONE, services)
    assert not seen.has_place
    assert advance(world, RUN_ID, ONE).stage is Stage.REGISTERED
    assert list(world.cloud.seen) == [OTHER]


def _discard(_run: Run) -> None:
    return None


def test_a_run_that_died_with_its_place_finds_it_again() -> None:
    """And nobody else gets it meanwhile; nobody waits for a lock either."""
    world = World()
    runs = waiting(Place.ENDPOINT, 2)
    for run in runs:
        world.runs.create(run)
    assert take_place(runs[0], Place.ENDPOINT, ONE, world.services)
    assert not take_place(runs[1], Place.ENDPOINT, ONE, world.services)
    assert take_place(runs[0], Place.ENDPOINT, ONE, world.services)
    world.runs.update(runs[0].run_id, lambda run: enter(run, Stage.DELETING, NOW))
    assert not take_place(runs[1], Place.ENDPOINT, ONE, world.services)
    world.runs.update(runs[0].run_id, lambda run: enter(run, Stage.DELETED, NOW))
    assert take_place(runs[1], Place.ENDPOINT, ONE, world.services)


def test_a_run_takes_no_place_while_its_cluster_is_on_its_way() -> None:
    """Another, whose cluster is there, trains meanwhile."""
    world = World()
    cluster = msgspec.structs.replace(PLAN, create_compute=True)
    run = a_run(Stage.VALIDATED, plan=cluster, claimed=True)
    world.runs.create(run)
    world.cloud.computes["gpu-cluster"] = SeenCompute(Provisioning.PENDING, "")
    assert not observe(run, SETTINGS, world.services).has_place
    assert world.claims.listed == {}
    world.cloud.settle()
    assert observe(run, SETTINGS, world.services).has_place


class Guarded(RuleBasedStateMachine):
    """Three runs and one endpoint place; each look and each save of each run is a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.may: set[str] = set()
        self.names = [run.run_id for run in waiting(Place.ENDPOINT, 3)]
        for run in waiting(Place.ENDPOINT, 3):
            self.world.runs.create(run)

    def _stage(self, number: int) -> Stage:
        return self.world.runs.load(self.names[number]).run.stage

    def _enter(self, number: int, stage: Stage) -> None:
        self.world.runs.update(self.names[number], lambda run: enter(run, stage, NOW))

    @rule(number=st.integers(0, 2))
    def look(self, number: int) -> None:
        """A worker asks for a place; it may stand still for any time before it acts on the answer."""
        run = self.world.runs.load(self.names[number]).run
        if run.stage is Stage.REGISTERED and take_place(run, Place.ENDPOINT, ONE, self.world.services):
            self.may.add(run.run_id)

    @rule(number=st.integers(0, 2))
    def deploy(self, number: int) -> None:
        """A worker that was given a place saves at last."""
        if self.names[number] in self.may and self._stage(number) is Stage.REGISTERED:
            self._enter(number, Stage.DEPLOYING)

    @rule(number=st.integers(0, 2))
    def park(self, number: int) -> None:
        """A run is given up on for now."""
        self.world.runs.park(self.names[number], "why", until=NOW)

    @rule(number=st.integers(0, 2))
    def go(self, number: int) -> None:
        """A run comes one stage nearer to its end, where it may be taken away."""
        stage = self._stage(number)
        if stage in {Stage.REGISTERED, Stage.DEPLOYING, Stage.LIVE}:
            self._enter(number, Stage.DELETING)
        elif stage is Stage.DELETING:
            self._enter(number, Stage.DELETED)

    @invariant()
    def never_more_than_so_many(self) -> None:
        """Counted by the records themselves."""
        having = {Stage.DEPLOYING, Stage.LIVE}
        assert sum(self._stage(number) in having for number in range(3)) <= 1


TestGuarded = Guarded.TestCase
TestGuarded.settings = settings(stateful_step_count=20)
