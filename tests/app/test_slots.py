"""Budget guards: never more than so many, first opened first served, and no slot is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from handlers.http.show_slots import show_slots
from handlers.timers.reconcile_resources import reconcile_resources
from shared.config import Settings
from shared.domain.run.index import IndexEntry
from shared.domain.run.index_metadata import from_metadata, to_metadata
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import EndpointStatus, JobStatus, Provisioning
from shared.domain.run.parts import JobRecord, StageEntry
from shared.domain.run.run import Run, enter
from shared.domain.run.slot_kind import SlotKind, SlotRequest
from shared.domain.run.slots import current_holders, may_acquire
from shared.domain.run.stages import Stage
from shared.ports import Services
from shared.workflow.save_progress import update_run
from shared.workflow.slots import ATTEMPTS, pass_on_slots, request_slot
from tests.app.builders import NOW, PLAN, RUN_ID, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, drive, rows, upload

ONE = msgspec.structs.replace(SETTINGS, max_training_runs=1, max_live_endpoints=1)
OTHER = "ft-b-0123456789"
WAITING = {SlotKind.TRAINING: Stage.VALIDATED, SlotKind.ENDPOINT: Stage.REGISTERED}
USING = {SlotKind.TRAINING: Stage.TRAINING, SlotKind.ENDPOINT: Stage.LIVE}


def acquire_slot(run: Run, kind: SlotKind, settings: Settings, services: Services) -> bool:
    """Whether a run that asks for a slot holds one then."""
    return request_slot(run, kind, settings, services).acquired


def entry(run: Run) -> IndexEntry:
    """The run as the index shows it."""
    return from_metadata(run.run_id, to_metadata(run))


def opened(run: Run, run_id: str, at: datetime) -> Run:
    """The run under another name, opened at another time."""
    first = StageEntry(stage=Stage.RECEIVED, at=at)
    return msgspec.structs.replace(run, run_id=run_id, history=(first, *run.history[1:]))


def waiting(kind: SlotKind, count: int, *names: str) -> list[Run]:
    """Runs that asked for a slot and wait, opened a second after each other; names of datasets go round."""
    asked = SlotRequest(kind=kind, acquired=False, at=NOW)
    run = a_run(WAITING[kind], plan=PLAN, claimed=True, slot=asked)
    names = names or tuple("abcdefghij")
    return [
        msgspec.structs.replace(
            opened(run, f"ft-a-{number:010x}", NOW - timedelta(seconds=count - number)),
            dataset=names[number % len(names)],
        )
        for number in range(count)
    ]


def allowed(run: Run, kind: SlotKind, entries: list[IndexEntry], limit: int, *listed: str) -> bool:
    """Whether a run may take a kind, by that list and index."""
    return may_acquire(run, kind, current_holders(kind, listed, entries), entries, limit)


def next_in_turn(kind: SlotKind, runs: list[Run], limit: int) -> list[str]:
    """The runs that may go on, of all that wait and look at the same listing, with what uses slots beside."""
    listing = [entry(run) for run in runs]
    return [
        run.run_id
        for run in runs
        if run.slot and not run.slot.acquired and allowed(run, kind, listing, limit)
    ]


@pytest.mark.parametrize("kind", SlotKind)
def test_first_opened_is_first_served(kind: SlotKind) -> None:
    """Of ten datasets' runs that all decide at once on the same listing, as many as fit go on."""
    runs = waiting(kind, 10)
    listing = [entry(run) for run in runs] + [entry(a_run(USING[kind], run_id=OTHER))]
    chosen = [run.run_id for run in runs if allowed(run, kind, listing, 4)]
    assert chosen == [run.run_id for run in runs[:3]]
    assert all(allowed(run, kind, listing, 0) for run in runs), "0 is no limit"


def test_two_runs_of_the_same_moment_do_not_share_a_slot() -> None:
    """Equal opening times are told apart by the run id."""
    runs = [
        msgspec.structs.replace(opened(run, run.run_id, NOW), dataset="a")
        for run in waiting(SlotKind.TRAINING, 3)
    ]
    assert next_in_turn(SlotKind.TRAINING, runs, 1) == [runs[0].run_id]


@pytest.mark.parametrize("kind", SlotKind)
@pytest.mark.parametrize("greedy", ["greedy", "greedy-{}", "Greedy_2026-03-{}", "greedy{}"])
def test_an_honest_run_goes_first_in_its_turn(kind: SlotKind, greedy: str) -> None:
    """Fifty greedy runs wait that were opened before; the very next slot is the honest one's."""
    names = [greedy.format(number) for number in range(50)]
    *greedy_runs, honest = waiting(kind, 51, *names, "support")
    using = [a_run(USING[kind], run_id=f"ft-g-{number:010x}", dataset=names[number]) for number in range(3)]
    assert next_in_turn(kind, [*using, *greedy_runs, honest], 4) == [honest.run_id]
    assert next_in_turn(kind, [*using, *greedy_runs], 4) == [], "the last slot is another dataset's"
    assert next_in_turn(kind, [*using[:2], *greedy_runs, honest], 4) == [greedy_runs[0].run_id, honest.run_id]


@pytest.mark.parametrize("kind", SlotKind)
@pytest.mark.parametrize(
    ("limit", "expected"), [(1, ["a", "b", "c", "a", "a", "a", "a"]), (3, ["a", "b", "c", "a", "a"])]
)
def test_slots_go_round_between_datasets(kind: SlotKind, limit: int, expected: list[str]) -> None:
    """Of seven runs, five of one dataset, that each end before the next begins, every third is another's."""
    runs = waiting(kind, 7, "a", "a", "a", "a", "a", "b", "c")
    order: list[str] = []
    done: list[Run] = []
    while runs and (following := next_in_turn(kind, [*runs, *done], limit)):
        for run in [run for run in runs if run.run_id in following]:
            order.append(run.dataset)
            got = SlotRequest(kind=kind, acquired=True, at=NOW + timedelta(minutes=len(done)))
            done.append(a_run(Stage.DELETED, run_id=run.run_id, dataset=run.dataset, slot=got))
        runs = [run for run in runs if run.run_id not in following]
    assert order[: len(expected)] == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 8])
def test_one_dataset_never_holds_all_slots(limit: int) -> None:
    """But the only one that there is."""
    runs = waiting(SlotKind.TRAINING, 20, "a")
    assert len(next_in_turn(SlotKind.TRAINING, runs, limit)) == max(1, limit - 1)


def test_slots_in_use_and_waiters_are_counted() -> None:
    """As the next run would be told; without a limit there is none to tell."""
    world = World()
    asks = waiting(SlotKind.TRAINING, 2)
    trains = a_run(Stage.TRAINING, run_id="ft-c-0123456789", job=JobRecord(name=RUN_ID, status="Running"))
    serves = msgspec.structs.replace(
        a_run(Stage.LIVE, run_id="ft-d-0123456789"),
        options=msgspec.structs.replace(trains.options, instance_count=3),
    )
    for run in (*asks, trains, serves):
        world.runs.create(run)
    limited = msgspec.structs.replace(SETTINGS, max_training_runs=1, max_live_endpoints=0)
    assert json.loads(show_slots(limited, world.services).body) == {
        "training": {"in_use": 1, "limit": 1, "waiting": 2},
        "endpoint": {"in_use": 3, "limit": None, "waiting": 0},
    }


def test_an_endpoint_counts_by_its_vms() -> None:
    """Two VMs are two slots; who waits for two keeps one that is free from those behind."""
    two = msgspec.structs.replace(a_run().options, instance_count=2)
    large, small = waiting(SlotKind.ENDPOINT, 2)
    large = msgspec.structs.replace(large, options=two)
    using = a_run(Stage.LIVE, run_id=OTHER, options=two)
    assert next_in_turn(SlotKind.ENDPOINT, [using, large, small], 4) == [large.run_id]
    assert next_in_turn(SlotKind.ENDPOINT, [using, large, small], 3) == []
    assert next_in_turn(SlotKind.ENDPOINT, [using, large, small], 5) == [large.run_id, small.run_id]
    assert next_in_turn(SlotKind.ENDPOINT, [large], 2) == [large.run_id], "a name that holds none may"


def test_whoever_waits_for_something_else_keeps_nobody_waiting() -> None:
    """Validation and a cluster of one's own take their time; the slot is free for others meanwhile."""
    (run,) = waiting(SlotKind.TRAINING, 1)
    run = opened(run, RUN_ID, NOW)
    busy = [
        opened(a_run(Stage.RECEIVED, dataset="slow"), "ft-x-0000000001", NOW - timedelta(days=1)),
        opened(a_run(Stage.VALIDATED, dataset="cluster"), "ft-x-0000000002", NOW - timedelta(days=1)),
    ]
    assert next_in_turn(SlotKind.TRAINING, [*busy, run], 1) == [RUN_ID]


def test_a_run_that_is_about_to_submit_has_its_slot() -> None:
    """Between the intent and the job, a billable run counts, though it was opened later."""
    about_to = opened(a_run(Stage.VALIDATED, billable=True), OTHER, NOW + timedelta(hours=1))
    assert not allowed(a_run(Stage.VALIDATED), SlotKind.TRAINING, [entry(about_to)], 1)


def test_a_suspended_run_holds_nobody_up() -> None:
    """What waits for a person is not waited for."""
    (ahead,) = waiting(SlotKind.TRAINING, 1, "other")
    run = opened(a_run(Stage.VALIDATED), RUN_ID, NOW)
    assert not allowed(run, SlotKind.TRAINING, [entry(ahead)], 1)
    assert allowed(run, SlotKind.TRAINING, [entry(ahead)._replace(suspended="why")], 1)


def test_a_run_that_keeps_failing_holds_nobody_up() -> None:
    """It may do so for half a day; one that stumbled once or twice is waited for."""
    (ahead,) = waiting(SlotKind.TRAINING, 1, "other")
    run = opened(a_run(Stage.VALIDATED), RUN_ID, NOW)
    stumbled, failing = (msgspec.structs.replace(ahead, failures=failures) for failures in (2, 3))
    assert not allowed(run, SlotKind.TRAINING, [entry(stumbled)], 1)
    assert allowed(run, SlotKind.TRAINING, [entry(failing)], 1)


@pytest.mark.parametrize("kind", SlotKind)
def test_a_record_that_cannot_be_read_gives_its_slot_back(kind: SlotKind) -> None:
    """Once `reconcile_resources` has removed what it stood for, and not before."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(USING[kind], run_id=OTHER))
    world.cloud.jobs[OTHER] = JobStatus("Running")
    world.cloud.seen[OTHER] = EndpointStatus(Provisioning.READY, None, {})
    world.cloud.tags[OTHER] = {RUN_TAG: OTHER}
    world.runs.corrupt(OTHER)
    world.runs.suspend(OTHER, "CorruptRunError", until=NOW + timedelta(days=99))
    (run,) = waiting(kind, 1)
    world.now = NOW + max(SETTINGS.limits().training_deadline, timedelta(hours=24))
    assert not acquire_slot(run, kind, ONE, world.services)
    reconcile_resources(settings=ONE, services=world.services)
    assert not acquire_slot(run, kind, ONE, world.services), "on its way, but still there"
    world.busy("job")
    world.busy("endpoint")
    world.cloud.settle()
    assert not acquire_slot(run, kind, ONE, world.services), "who cannot be seen may be there"
    assert acquire_slot(run, kind, ONE, world.services)
    assert world.slots.holders(kind).runs == {run.run_id}


def test_a_suspended_run_that_has_yet_to_submit_keeps_its_slot() -> None:
    """Nothing of it is there, and it will submit without asking again once somebody has mended it."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(Stage.VALIDATED, run_id=OTHER, plan=PLAN, claimed=True))
    world.cloud.faults["submit"] = [KeyError("nobody foresaw this")]
    with pytest.raises(KeyError):
        advance(world, OTHER, ONE)
    world.runs.suspend(OTHER, "KeyError", until=NOW + timedelta(days=9))
    world.now = NOW + timedelta(days=4)
    world.runs.create(a_run(Stage.VALIDATED, plan=PLAN, claimed=True, now=world.now))
    advance(world, RUN_ID, ONE)
    world.runs.resume(OTHER)
    advance(world, OTHER, ONE)
    assert list(world.cloud.jobs) == [OTHER]


def test_a_suspended_run_that_is_tried_again_keeps_its_slot() -> None:
    """Another asks at the very moment at which it goes on."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(Stage.REGISTERED, run_id=OTHER))
    assert acquire_slot(world.runs.load(OTHER).run, SlotKind.ENDPOINT, ONE, world.services)
    world.runs.suspend(OTHER, "why", until=NOW + timedelta(hours=3))
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
    assert not allowed(a_run(Stage.REGISTERED), SlotKind.ENDPOINT, [going], 1)


@pytest.mark.parametrize(
    ("status", "free"), [("Running", False), ("CancelRequested", False), ("Canceled", True)]
)
def test_a_job_that_is_being_canceled_still_counts(status: str, free: bool) -> None:
    """A teardown holds its training slot until its job is seen to be over; one never seen counts, too."""
    going = a_run(Stage.DELETING, run_id=OTHER, job=JobRecord(name=OTHER, status=status))
    assert allowed(a_run(Stage.VALIDATED), SlotKind.TRAINING, [entry(going)], 1) is free
    unseen = a_run(Stage.DELETING, run_id=OTHER, job=None)
    assert not allowed(a_run(Stage.VALIDATED), SlotKind.TRAINING, [entry(unseen)], 1)


def test_a_canceled_job_keeps_its_slot_until_it_has_stopped() -> None:
    """Through the whole app: the next run waits while the one before is still being stopped."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(Stage.TRAINING, run_id=OTHER, job=JobRecord(name=OTHER, status="Running")))
    world.cloud.jobs[OTHER] = JobStatus("Running")
    world.runs.create(a_run(Stage.VALIDATED, plan=PLAN, claimed=True))
    update_run(world.runs, OTHER, lambda run: enter(run, Stage.DELETING, world.now))
    assert advance(world, OTHER, ONE).stage is Stage.DELETING
    assert world.cloud.jobs[OTHER].status == "CancelRequested"
    assert advance(world, RUN_ID, ONE).stage is Stage.VALIDATED
    world.cloud.settle()
    assert advance(world, OTHER, ONE).stage.terminal
    assert advance(world, RUN_ID, ONE).stage is Stage.TRAINING


@pytest.mark.parametrize(
    ("kind", "stages"),
    [
        (SlotKind.TRAINING, {Stage.RECEIVED, Stage.VALIDATED, Stage.TRAINING}),
        (SlotKind.ENDPOINT, {stage for stage in Stage if not stage.at_rest}),
    ],
)
def test_a_slot_is_kept_until_it_is_needed_no_more(kind: SlotKind, stages: set[Stage]) -> None:
    """A run that was given one has it, whatever the index makes of it by itself, until that stage is past."""
    for stage in Stage:
        holders = current_holders(kind, [OTHER], [entry(a_run(stage, run_id=OTHER))])
        assert (holders == {OTHER}) is (stage in stages)
    assert current_holders(kind, [OTHER], [entry(a_run(Stage.LIVE, run_id=OTHER))._replace(stage=None)]) == {
        OTHER
    }
    assert current_holders(kind, [OTHER, "nonsense"], []) == frozenset(), "a run without a record is no more"


def interfering(world: World, act: Callable[[], None]) -> Services:
    """The world's services, with something happening once between a listing and what comes of it."""
    once = iter([True])
    real = world.runs.entries

    def entries(*, max_age: timedelta = timedelta()) -> Any:
        listing = real(max_age=max_age)
        if not max_age and next(once, False):
            act()
        return listing

    world.runs.entries = entries  # type: ignore[method-assign]
    return world.services


def test_a_run_that_listed_first_and_saves_last_takes_no_slot_twice() -> None:
    """Between one run's listing and its save another, opened earlier, comes to need the last slot."""
    world = World()
    early = opened(a_run(Stage.TRAINING, plan=PLAN), OTHER, NOW - timedelta(hours=1))
    world.runs.create(early)
    world.cloud.jobs[OTHER] = world.cloud.jobs[RUN_ID] = JobStatus("Completed")
    world.runs.create(a_run(Stage.REGISTERED))
    world.cloud.slow = True
    services = interfering(world, lambda: _discard(advance(world, OTHER, ONE)))
    assert not acquire_slot(a_run(Stage.REGISTERED), SlotKind.ENDPOINT, ONE, services)
    assert advance(world, RUN_ID, ONE).stage is Stage.REGISTERED
    assert list(world.cloud.seen) == [OTHER]


def _discard(_run: Run) -> None:
    return None


def test_a_run_that_died_with_its_slot_finds_it_again() -> None:
    """And nobody else gets it meanwhile; nobody waits for a lock either."""
    world = World()
    runs = waiting(SlotKind.ENDPOINT, 2)
    for run in runs:
        world.runs.create(run)
    assert acquire_slot(runs[0], SlotKind.ENDPOINT, ONE, world.services)
    assert not acquire_slot(runs[1], SlotKind.ENDPOINT, ONE, world.services)
    assert acquire_slot(runs[0], SlotKind.ENDPOINT, ONE, world.services)
    update_run(world.runs, runs[0].run_id, lambda run: enter(run, Stage.DELETING, NOW))
    assert not acquire_slot(runs[1], SlotKind.ENDPOINT, ONE, world.services)
    update_run(world.runs, runs[0].run_id, lambda run: enter(run, Stage.DELETED, NOW))
    assert acquire_slot(runs[1], SlotKind.ENDPOINT, ONE, world.services)


def test_a_run_acquires_no_slot_while_its_cluster_is_being_created() -> None:
    """Another run, whose cluster is there, trains meanwhile."""
    world = World()
    world.cloud.slow = True
    run = a_run(Stage.VALIDATED, plan=msgspec.structs.replace(PLAN, create_compute=True), claimed=True)
    world.runs.create(run)
    assert advance(world, RUN_ID, ONE).slot is None
    assert world.slots.listed == {}
    world.cloud.settle()
    world.now += timedelta(minutes=1)
    assert advance(world, RUN_ID, ONE).holds_slot(SlotKind.TRAINING)


def test_a_run_without_a_slot_asks_again_when_it_looks_again() -> None:
    """The refusal is on its record; it asks once a look."""
    world = World()
    world.cloud.slow = True
    world.runs.create(a_run(Stage.LIVE, run_id=OTHER))
    world.runs.create(a_run(Stage.REGISTERED))
    waits = advance(world, RUN_ID, ONE)
    assert waits.slot == SlotRequest(
        kind=SlotKind.ENDPOINT, acquired=False, at=world.now, in_use=1, limit=1, position=1
    )
    assert waits.due == world.now + ONE.limits().job_poll
    update_run(world.runs, OTHER, lambda _run: a_run(Stage.DELETED, run_id=OTHER))
    assert advance(world, RUN_ID, ONE).stage is Stage.DEPLOYING


def test_a_run_that_always_loses_the_list_of_holders_asks_again_later() -> None:
    """However contended the list is, no worker goes round for ever."""
    world = World()
    world.slots.replace = Mock(return_value=False)  # type: ignore[method-assign]
    assert not acquire_slot(a_run(Stage.REGISTERED), SlotKind.ENDPOINT, ONE, world.services)
    assert world.slots.replace.call_count == ATTEMPTS


class Guarded(RuleBasedStateMachine):
    """Three runs and one endpoint slot; each look and each save of each run is a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.may: set[str] = set()
        self.names = [run.run_id for run in waiting(SlotKind.ENDPOINT, 3)]
        for run in waiting(SlotKind.ENDPOINT, 3):
            self.world.runs.create(run)

    def _stage(self, number: int) -> Stage:
        return self.world.runs.load(self.names[number]).run.stage

    def _enter(self, number: int, stage: Stage) -> None:
        update_run(self.world.runs, self.names[number], lambda run: enter(run, stage, NOW))

    @rule(number=st.integers(0, 2))
    def look(self, number: int) -> None:
        """A worker asks for a slot; it may stand still for any time before it acts on the answer."""
        run = self.world.runs.load(self.names[number]).run
        if run.stage is Stage.REGISTERED and acquire_slot(run, SlotKind.ENDPOINT, ONE, self.world.services):
            self.may.add(run.run_id)

    @rule(number=st.integers(0, 2))
    def deploy(self, number: int) -> None:
        """A worker that was given a slot saves at last."""
        if self.names[number] in self.may and self._stage(number) is Stage.REGISTERED:
            self._enter(number, Stage.DEPLOYING)

    @rule(number=st.integers(0, 2))
    def suspend(self, number: int) -> None:
        """A run is given up on for now."""
        self.world.runs.suspend(self.names[number], "why", until=NOW)

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


@pytest.mark.parametrize("kind", SlotKind)
def test_a_free_slot_wakes_the_next_in_turn_alone(kind: SlotKind) -> None:
    """Whoever was done with it sends one message; a run that goes on with its slot sends none."""
    world = World()
    before = a_run(USING[kind], plan=PLAN, slot=SlotRequest(kind=kind, acquired=True, at=NOW))
    ended = enter(enter(before, Stage.DELETING, NOW), Stage.CANCELED, NOW)
    for run in (ended, *waiting(kind, 50)):
        world.runs.create(run)
    pass_on_slots(before, msgspec.structs.replace(before, failures=1), ONE, world.services)
    assert [*world.advance_queue.waiting] == []
    pass_on_slots(before, ended, ONE, world.services)
    assert [message for message, _ in world.advance_queue.waiting] == ["ft-a-0000000000"]
    assert world.advance_queue.ahead == ["ft-a-0000000000"], "no routine look is ahead of it"


def test_a_job_that_ends_passes_its_slot_on() -> None:
    """The next run trains at once, without the timer, and those behind it are left alone."""
    world = World()
    world.cloud.slow = True
    first, second, third = (upload(world, f"{name}.jsonl", rows(tag=name)) for name in "abc")
    drive(world, first, Stage.TRAINING, ONE)
    for run_id in (second, third):
        assert not advance(world, run_id, ONE).holds_slot(SlotKind.TRAINING)
    world.advance_queue.waiting.clear()
    drive(world, first, Stage.LIVE, ONE)
    woken = [message for message, delay in world.advance_queue.waiting if not delay]
    assert woken == [second]
    assert advance(world, second, ONE).stage is Stage.TRAINING
