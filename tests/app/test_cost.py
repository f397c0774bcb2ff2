"""Hours, cost where there is a price, and what teardown saves."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from handlers.http.show_run import show_run
from shared.domain.run.cost import ASSUMPTION, Prices, RunCost, run_cost
from shared.domain.run.parts import StageEntry
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.app.builders import NOW, OPTIONS, PLAN, RUN_ID, a_run
from tests.app.fakes import World

PRICES = Prices({"STANDARD_NC24ADS_A100_V4": 4.5}, "EUR")
HOURS = {
    Stage.RECEIVED: 0.0,
    Stage.VALIDATED: 0.25,
    Stage.TRAINING: 0.5,
    Stage.TRAINED: 3.5,
    Stage.REGISTERED: 3.75,
    Stage.DEPLOYING: 4.0,
    Stage.LIVE: 4.5,
    Stage.DELETING: 28.5,
    Stage.DELETED: 29.0,
}


def run_in(stage: Stage, **changes: object) -> Run:
    """A run that entered its stages at the hours above."""
    run = a_run(stage, **changes)
    history = tuple(
        StageEntry(stage=entry.stage, at=NOW + timedelta(hours=HOURS[entry.stage])) for entry in run.history
    )
    return msgspec.structs.replace(run, history=history)


def counted(stage: Stage, hours: float, **changes: object) -> RunCost:
    """What has been used when so many hours have gone by."""
    return run_cost(run_in(stage, **changes), PRICES, NOW + timedelta(hours=hours))


def test_nothing_is_counted_before_it_begins() -> None:
    """A run that was never trained has used no node."""
    numbers = msgspec.to_builtins(counted(Stage.VALIDATED, 10))
    used = [numbers[name] for name in numbers if name.endswith(("_hours", "_cost"))]
    assert used == [None] * 7


def test_training_counts_while_it_lasts_and_no_longer() -> None:
    """From submission to the end, times the price, whatever the size's case."""
    going = counted(Stage.TRAINING, 1.5)
    assert (going.training_node_hours, going.training_cost) == (1.0, 4.5)
    over = counted(Stage.DELETED, 1000)
    assert (over.training_node_hours, over.training_cost) == (3.0, 13.5)


def test_training_counts_until_a_job_that_is_stopped_has_stopped() -> None:
    """Asking for it ends nothing: nodes go on until the job is seen stopped."""
    stages = (Stage.TRAINING, 0.5), (Stage.DELETING, 2.5), (Stage.CANCELED, 4.5)
    history = tuple(StageEntry(stage=stage, at=NOW + timedelta(hours=hours)) for stage, hours in stages)
    going = msgspec.structs.replace(run_in(Stage.DELETING), history=history[:2])
    assert run_cost(going, PRICES, NOW + timedelta(hours=3.5)).training_node_hours == 3.0
    over = msgspec.structs.replace(going, stage=Stage.CANCELED, history=history)
    assert run_cost(over, PRICES, NOW + timedelta(hours=100)).training_node_hours == 4.0


@pytest.mark.parametrize("nodes", [2, "2"])
def test_every_node_of_training_counts(nodes: int | str) -> None:
    """Two nodes use twice the hours."""
    plan = msgspec.structs.replace(PLAN, parameters={"num_nodes_finetune": nodes})
    assert counted(Stage.DELETED, 1000, plan=plan).training_node_hours == 6.0


def test_an_endpoint_costs_from_its_deployment_until_it_is_gone() -> None:
    """Its nodes are paid for while they come up and while they go; callers have it for less."""
    used = counted(Stage.DELETED, 1000, options=msgspec.structs.replace(OPTIONS, instance_count=2))
    assert (used.endpoint_node_hours, used.endpoint_cost) == (50.0, 225.0)
    assert used.endpoint_live_hours == 24.0


def test_teardown_saves_what_would_have_gone_on() -> None:
    """From when it was gone until now; nothing while it is there."""
    used = counted(Stage.DELETED, 129)
    assert (used.saved_node_hours, used.saved_cost) == (100.0, 450.0)
    for stage, hours in ((Stage.LIVE, 10), (Stage.DELETING, 28.75)):
        assert counted(stage, hours).saved_node_hours is None


def test_a_run_that_was_never_live_saved_nothing() -> None:
    """Its endpoint would not have been there to be forgotten."""
    never = msgspec.structs.replace(run_in(Stage.DELETED), history=run_in(Stage.DEPLOYING).history)
    assert run_cost(never, PRICES, NOW + timedelta(hours=100)).saved_node_hours is None


def test_no_price_is_invented() -> None:
    """Without a price for the size there are hours and no cost."""
    used = run_cost(run_in(Stage.LIVE), Prices({"Standard_DS3_v2": 0.3}), NOW + timedelta(hours=10))
    assert (used.training_cost, used.endpoint_cost) == (None, None)
    assert (used.training_price_per_hour, used.endpoint_price_per_hour, used.currency) == (None, None, None)
    assert used.endpoint_node_hours == 6.0


@pytest.mark.parametrize("stage", [Stage.RECEIVED, Stage.TRAINING, Stage.DELETED])
def test_a_runs_page_shows_it(stage: Stage) -> None:
    """`GET /api/runs/{id}` has the counting in every stage, also by a clock that went back."""
    world = World()
    world.runs.create(a_run(stage))
    world.now = NOW - timedelta(minutes=5)
    shown = json.loads(show_run(RUN_ID, if_none_match=None, services=world.services, prices=PRICES).body)
    cost = shown["cost"]
    assert (cost.pop("assumption"), cost.pop("currency")) == (ASSUMPTION, "EUR")
    assert cost["endpoint_price_per_hour"] == 4.5
    assert cost["training_price_per_hour"] == (4.5 if shown["plan"] else None)
    assert all(value is None or value >= 0 for value in cost.values())
