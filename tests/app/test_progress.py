"""Training is watched while it goes on, seldom, and harmlessly; what cannot get better is told of."""

from __future__ import annotations

import json
from datetime import timedelta
from math import inf, nan

import msgspec
import pytest

from handlers.http.show_run import show_run
from shared.adapters.azureml.metrics import _read_points, _values
from shared.domain.errors import ServiceRefusedError
from shared.domain.run.cost import Prices, run_cost
from shared.domain.run.observation import JobStatus, Provisioning
from shared.domain.run.progress import POLLS, LoggedValue, TrainingReading, divergence, progress_of
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.app.builders import NOW, PLAN, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, upload

STOPPING = msgspec.structs.replace(SETTINGS, stop_when_diverged=True)


def losses(*values: float) -> tuple[LoggedValue, ...]:
    """Logged every ten steps."""
    return tuple(LoggedValue(10 * at, value) for at, value in enumerate(values, 1))


HALF = TrainingReading(
    began=NOW - timedelta(minutes=30),
    training_since=NOW - timedelta(minutes=20),
    logged_at=NOW,
    epoch=1.5,
    train=losses(2.0, 1.5, 1.25),
    evaluation=losses(1.75),
)
"""Twenty minutes of training, half of the three epochs."""


def training(world: World) -> str:
    """A run whose job is at work."""
    run_id = upload(world)
    world.cloud.slow = True
    while advance(world, run_id).stage is not Stage.TRAINING:
        ready = {name: one._replace(state=Provisioning.READY) for name, one in world.cloud.computes.items()}
        world.cloud.computes = ready
        world.now += timedelta(minutes=1)
    return run_id


def look(world: World, run_id: str, times: int = 1, **changes: object) -> Run:
    """Advance a run so many times, each when it is due."""
    settings = msgspec.structs.replace(SETTINGS, **changes)
    for _ in range(times):
        run = advance(world, run_id, settings)
        assert run.due is not None
        world.now = run.due
    return run


def test_progress_says_how_far_training_is_and_when_it_ends() -> None:
    """The end follows from the share of epochs, or of steps."""
    run = a_run(Stage.TRAINING)
    found = progress_of(run, HALF, NOW)
    assert (found.step, found.steps, found.epoch, found.epochs) == (30, 60, 1.5, 3.0)
    assert found.ends_at == NOW + timedelta(minutes=20)
    assert (found.train_loss, found.eval_loss, found.diverged) == (1.25, 1.75, None)
    steps = msgspec.structs.replace(PLAN, parameters={"num_train_epochs": 3, "max_steps": 120})
    by_steps = progress_of(msgspec.structs.replace(run, plan=steps), HALF, NOW)
    assert by_steps.ends_at == NOW + timedelta(minutes=60)
    assert by_steps.epochs is None


def test_a_job_that_has_logged_nothing_has_no_end() -> None:
    """Nor has one that waits for its first node."""
    assert progress_of(a_run(Stage.TRAINING), TrainingReading(), NOW).ends_at is None
    assert progress_of(a_run(Stage.TRAINING), TrainingReading(began=NOW), NOW).ends_at is None


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        (TrainingReading(train=losses(2.0, nan, nan)), "training loss is not a number since step 20"),
        (TrainingReading(train=losses(inf)), "training loss is not a number since step 10"),
        (TrainingReading(train=losses(1.0), evaluation=losses(1.0, nan)), "evaluation loss is not a number"),
        (TrainingReading(train=losses(1.0, 0.0), grad_norm=nan), "gradient is not a number at step 20"),
        (TrainingReading(evaluation=losses(1.0, 1.1, 1.2, 1.3)), "rose 3 times in a row, from 1.0000 to 1.3"),
        (TrainingReading(evaluation=losses(2.0, 1.0, 1.1, 1.2, 1.3)), "rose 3 times in a row"),
    ],
)
def test_training_that_cannot_get_better_is_known(reading: TrainingReading, told: str) -> None:
    """A loss that is no number, as the trainer logs it, or an evaluation loss that keeps rising."""
    assert told in (divergence(reading) or "")


@pytest.mark.parametrize(
    "reading",
    [
        TrainingReading(),
        HALF,
        TrainingReading(train=losses(nan, 2.0)),
        TrainingReading(train=losses(1.0, 0.0), grad_norm=0.1),
        TrainingReading(train=losses(1.0, 1.5), grad_norm=nan),
        TrainingReading(evaluation=losses(1.0, 1.1, 1.2)),
        TrainingReading(evaluation=losses(1.0, 1.1, 1.05, 1.1, 1.2)),
    ],
)
def test_training_that_may_get_better_is_left_alone(reading: TrainingReading) -> None:
    """A moment's fault, or two bad evaluations, say nothing."""
    assert divergence(reading) is None


def test_training_is_read_every_few_looks() -> None:
    """Not at every look, and not while the job waits for nodes."""
    world = World()
    run_id = training(world)
    world.cloud.training = HALF
    reads: list[object] = []
    run = world.runs.load(run_id).run
    for _ in range(3 * POLLS):
        run = look(world, run_id)
        if run.progress is not None and run.progress.read_at not in reads:
            reads.append(run.progress.read_at)
    assert 2 <= len(reads) <= 3
    world.cloud.jobs[run_id] = JobStatus("Queued")
    before = look(world, run_id).progress
    assert look(world, run_id, 2 * POLLS).progress == before


def test_a_job_that_cannot_be_watched_goes_on() -> None:
    """What was known stays; no fault is counted, and the job counts as one that uses its nodes."""
    world = World()
    run_id = training(world)
    world.cloud.faults["read_training"] = [
        ServiceRefusedError("may not", code="Forbidden", status=403) for _ in range(2)
    ]
    run = look(world, run_id, POLLS + 1)
    assert run.stage is Stage.TRAINING
    assert run.failures == 0
    assert run.progress is not None
    assert run.progress.began == run.entered(Stage.TRAINING)
    world.cloud.training = HALF
    assert look(world, run_id, 3 * POLLS).progress is not None


def test_divergence_is_told_and_stopped_only_if_that_is_set() -> None:
    """Attention says why; with STOP_WHEN_DIVERGED the job is canceled, and the run fails for it."""
    world = World()
    run_id = training(world)
    world.cloud.training = TrainingReading(began=NOW, train=losses(2.0, nan))
    run = look(world, run_id, POLLS + 2)
    assert run.stage is Stage.TRAINING
    assert run.attention is not None
    assert "STOP_WHEN_DIVERGED" in run.attention
    run = look(world, run_id, 1, stop_when_diverged=True)
    assert ("cancel", run.job_name) in world.cloud.begun
    assert run.error is not None
    assert run.error.code == "TrainingDiverged"
    world.cloud.settle()
    while not (run := advance(world, run_id, STOPPING)).at_rest:
        assert run.due is not None
        world.now = run.due
        world.cloud.settle()
    assert run.stage is Stage.FAILED


def test_cost_counts_from_the_first_node() -> None:
    """Waiting for it costs nothing, as soon as MLflow has said when it started."""
    run = a_run(Stage.TRAINING)
    began = NOW + timedelta(hours=3)
    waits = progress_of(run, TrainingReading(waits=True), NOW)
    works = progress_of(run, TrainingReading(began=began), NOW)
    later = NOW + timedelta(hours=4)
    for progress, hours in ((None, 4.0), (waits, 0.0), (works, 1.0)):
        cost = run_cost(msgspec.structs.replace(run, progress=progress), Prices(), later)
        assert cost.training_node_hours == hours


def test_progress_is_shown() -> None:
    """The record has only numbers, whatever was logged."""
    world = World()
    run_id = training(world)
    world.cloud.training = HALF._replace(train=losses(2.0, nan, 1.0))
    look(world, run_id, POLLS + 1)
    body = show_run(run_id, if_none_match=None, services=world.services, prices=Prices()).body
    shown = json.loads(body)["progress"]
    assert [point["value"] for point in shown["train_losses"]] == [2.0, 1.0]
    assert shown["epoch"] == 1.5


def test_losses_are_read_as_protocol_buffers_spell_them() -> None:
    """Numbers that are none come as text; without steps they are numbered."""
    points = _read_points({"metrics": [{"value": "NaN", "timestamp": "1"}, {"value": 1.5, "timestamp": 2}]})
    found = _values(points)
    assert [value.step for value in found] == [1, 2]
    assert found[0].value != found[0].value
