"""Caps on cost: held before anything costs, while training costs, and when callers ask for more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from handlers.http.request_changes import extend_endpoint, start_run
from shared.config import Settings
from shared.domain.errors import RequestError
from shared.domain.run.budget import committed
from shared.domain.run.cost import Prices
from shared.domain.run.index_metadata import entry_of
from shared.domain.run.job_time import JobTime, time_key
from shared.domain.run.observation import JobStatus, Provisioning
from shared.domain.run.parts import StageEntry
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import SlotHolders
from shared.workflow.budget import reserve_budget
from tests.app.builders import NOW
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, drive, rows, upload

A100 = "Standard_NC24ads_A100_v4"
PRICE = 4.0
ENDPOINT = 24 * PRICE


def capped(**caps: float) -> Settings:
    """The usual settings with caps on cost."""
    return msgspec.structs.replace(SETTINGS, **caps)


def priced(hours: float | None = None) -> World:
    """A world in which prices are known, and so many hours of an earlier job like those of the tests."""
    world = World()
    world.prices = Prices({A100: PRICE}, "EUR")
    if hours is not None:
        planned = drive(world, upload(world, "earlier.jsonl", rows(tag="?")), Stage.LIVE)
        assert planned.plan is not None
        assert planned.quote is not None
        key = time_key(planned.plan.base_model_name, A100, 1, planned.plan.parameters)
        tokens = planned.quote.trained_tokens
        world.job_times.remember(key, JobTime(run_id="ft-x-0123456789", tokens=tokens, seconds=hours * 3600))
        world.cloud.begun.clear()
    return world


def until_rest(world: World, run_id: str, settings: Settings) -> Run:
    """Advance a run until there is nothing to do for it."""
    for _ in range(100):
        run = advance(world, run_id, settings)
        if run.at_rest:
            return run
        assert run.due is not None
        world.now = max(world.now, run.due)
        world.cloud.settle()
    raise AssertionError(f"{run_id} is still {run.stage}")


def test_a_quote_over_the_cap_rejects_the_run_before_anything_costs() -> None:
    """It says what the parts cost and what to do; with a little more room the same run goes on."""
    world = priced(hours=5)
    run_id = upload(world)
    run = until_rest(world, run_id, capped(max_run_cost=ENDPOINT + 19))
    assert run.stage is Stage.REJECTED
    assert run.error is not None
    assert run.error.code == "RunCostExceeded"
    assert "19.92 to train and 96.00 for its endpoint" in run.error.message
    assert "MAX_RUN_COST" in run.error.message
    assert not run.billable
    assert world.cloud.begun == []
    again = upload(world, "again.jsonl")
    assert drive(world, again, Stage.LIVE, capped(max_run_cost=ENDPOINT + 21)).error is None


def test_a_cap_is_not_held_by_a_price_that_nobody_knows() -> None:
    """The run is rejected: it could cost anything."""
    world = World()
    run = until_rest(world, upload(world), capped(max_run_cost=1000))
    assert (run.stage, run.error and run.error.code) == (Stage.REJECTED, "PriceUnknown")


def test_training_that_passes_its_cap_is_canceled() -> None:
    """By the clock, minute by minute; it says what is lost, and nothing is left that costs."""
    world = priced()
    settings = capped(max_run_cost=ENDPOINT + 20)
    run_id = upload(world)
    world.cloud.slow = True
    run = advance(world, run_id, settings)
    while run.stage is not Stage.TRAINING:
        assert run.due is not None
        world.now = run.due
        clusters_come_up(world)
        run = advance(world, run_id, settings)
    began = world.now
    while run.stage is Stage.TRAINING:
        assert run.due is not None
        world.now = run.due
        run = advance(world, run_id, settings)
    hours = (world.now - began) / timedelta(hours=1)
    assert 5 <= hours <= 5.05
    assert ("cancel", run.job_name) in world.cloud.begun
    assert run.error is not None
    assert run.error.code == "RunCostExceeded"
    assert "what it learned is lost" in run.error.message
    assert until_rest(world, run_id, settings).stage is Stage.FAILED


def test_a_job_that_waits_for_nodes_costs_nothing() -> None:
    """However long the queue is."""
    world = priced()
    settings = capped(max_run_cost=ENDPOINT + 20)
    run_id = upload(world)
    drive_to_training(world, run_id, settings)
    world.cloud.jobs[run_id] = JobStatus("Queued")
    for _ in range(3):
        world.now += timedelta(hours=6)
        assert advance(world, run_id, settings).stage is Stage.TRAINING


def drive_to_training(world: World, run_id: str, settings: Settings) -> None:
    """Advance until a job is at work, which it stays."""
    world.cloud.slow = True
    while advance(world, run_id, settings).stage is not Stage.TRAINING:
        clusters_come_up(world)
        world.now += timedelta(minutes=1)


def clusters_come_up(world: World) -> None:
    """Let clusters be ready, while jobs go on."""
    ready = {name: one._replace(state=Provisioning.READY) for name, one in world.cloud.computes.items()}
    world.cloud.computes = ready


def test_a_month_costs_so_much_at_most_and_the_next_begins_anew() -> None:
    """Two endpoints fit, the third is rejected, though the first is stopped by then: what was used counts."""
    world = priced()
    settings = capped(max_monthly_cost=2 * ENDPOINT)
    first = upload(world, "one.jsonl", rows(tag="1"))
    assert drive(world, first, Stage.STOPPED, settings).error is None
    second = upload(world, "two.jsonl", rows(tag="2"))
    drive(world, second, Stage.LIVE, settings)
    third = until_rest(world, upload(world, "three.jsonl", rows(tag="3")), settings)
    assert (third.stage, third.error and third.error.code) == (Stage.REJECTED, "MonthlyCostExceeded")
    assert "2026-03" in (third.error.message if third.error else "")
    world.now = datetime(2026, 4, 1, tzinfo=UTC)
    assert drive(world, upload(world, "four.jsonl", rows(tag="4")), Stage.LIVE, settings).error is None


def test_of_two_runs_at_once_one_gets_the_rest_of_the_month() -> None:
    """The second is told so by the list that changed under it, whichever asks first."""
    world = priced()
    runs = []
    for tag in "ab":
        run_id = upload(world, f"{tag}.jsonl", rows(tag=tag))
        runs.append(planned_run(world, run_id))
    one, other = runs

    class Interrupted:
        """A list of slots that another run changes between being read and written."""

        asked = 0

        def holders(self, kind: Any) -> SlotHolders:
            return world.slots.holders(kind)

        def replace(self, kind: Any, runs: Any, etag: str | None) -> bool:
            self.asked += 1
            if self.asked == 1:
                budget = reserve_budget(other, 1.5 * ENDPOINT, world.services).budget
                assert budget is not None
                assert budget.reserved
            return world.slots.replace(kind, runs, etag)

    services = replace(world.services, slots=Interrupted())
    budget = reserve_budget(one, 1.5 * ENDPOINT, services).budget
    assert budget is not None
    assert not budget.reserved
    assert budget.others == ENDPOINT


def planned_run(world: World, run_id: str) -> Run:
    """A run whose quote is on its record, and which waits for a cluster."""
    world.cloud.slow = True
    run = advance(world, run_id)
    world.cloud.computes.clear()
    assert run.quote is not None
    assert run.stage is Stage.VALIDATED
    return run


def test_a_model_that_is_started_again_waits_for_the_month() -> None:
    """It is not rejected: it has its model. A person is told why it waits."""
    world = priced()
    first = upload(world, "one.jsonl", rows(tag="1"))
    drive(world, first, Stage.STOPPED)
    used = sum(committed(world.runs.load(first).run).values())
    start_run(first, {}, settings=SETTINGS, services=world.services)
    settings = capped(max_monthly_cost=used + 1)
    run = advance(world, first, settings)
    assert run.stage is Stage.REGISTERED
    assert run.attention is not None
    assert "MAX_MONTHLY_COST" in run.attention
    world.now = datetime(2026, 4, 1, tzinfo=UTC)
    assert drive(world, first, Stage.LIVE, settings).attention is None


def test_callers_cannot_extend_or_start_past_a_cap() -> None:
    """422 with the numbers; within the cap both are done."""
    world = priced()
    run_id = upload(world)
    drive(world, run_id, Stage.LIVE)
    for caps, code in (
        ({"max_run_cost": ENDPOINT + 10}, "RunCostExceeded"),
        ({"max_monthly_cost": ENDPOINT + 10}, "MonthlyCostExceeded"),
    ):
        limits = capped(**caps).limits()
        with pytest.raises(RequestError) as refused:
            extend_endpoint(run_id, {"hours": 4}, limits=limits, services=world.services)
        assert (refused.value.status, refused.value.code) == (422, code)
    extend_endpoint(
        run_id, {"hours": 2}, limits=capped(max_run_cost=ENDPOINT + 10).limits(), services=world.services
    )
    drive(world, run_id, Stage.STOPPED)
    with pytest.raises(RequestError, match="MAX_RUN_COST"):
        start_run(run_id, {}, settings=capped(max_run_cost=ENDPOINT + 10), services=world.services)
    start_run(
        run_id, {"lifetime_hours": 0.5}, settings=capped(max_run_cost=ENDPOINT + 20), services=world.services
    )


def test_cost_belongs_to_the_month_in_which_it_is_used() -> None:
    """An endpoint that lives over midnight of the last day is split; the index repeats it."""
    world = priced()
    live = drive(world, upload(world), Stage.LIVE)
    end = datetime(2026, 3, 31, 18, tzinfo=UTC)
    moved = live.history[-1].at - end
    assert live.endpoint is not None
    run = msgspec.structs.replace(
        live,
        history=tuple(StageEntry(stage=entry.stage, at=entry.at - moved) for entry in live.history),
        endpoint=msgspec.structs.replace(live.endpoint, live_since=end, expires_at=end + timedelta(hours=24)),
        due=None,
    )
    costs = committed(run)
    assert costs["2026-04"] == 18 * PRICE
    assert costs["2026-03"] == pytest.approx(6 * PRICE, abs=2)
    assert entry_of(run).cost == costs


def test_what_never_costs_is_not_counted() -> None:
    """Nor what was planned before there were quotes."""
    world = priced()
    rejected = until_rest(world, upload(world), capped(max_run_cost=ENDPOINT - 1))
    assert rejected.stage is Stage.REJECTED
    assert committed(rejected) == {}
    assert committed(msgspec.structs.replace(rejected, quote=None)) == {}
    assert world.now >= NOW
