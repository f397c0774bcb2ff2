"""Times and what they cost: true while the page stands, whatever the record last said."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.dashboard.scenes import Scenes, listed


@pytest.fixture
def retold(scenes: Scenes, live_run: str, open_page: Callable[..., Page]) -> Callable[..., Page]:
    """The live run's page, of a record that is the stack's own but for a change."""

    def opened(change: Callable[[dict[str, Any]], object]) -> Page:
        run = scenes.run(live_run)
        change(run)
        page = open_page("/")
        page.route(f"**/api/runs/{live_run}", lambda route: route.fulfill(json=run))
        page.evaluate("address => { location.hash = address }", f"/runs/{live_run}")
        return page

    return opened


def ago(**time: float) -> str:
    """A moment in the past, as the API writes it."""
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def entry_of(run: dict[str, Any], stage: str) -> dict[str, Any]:
    """The entry of a run's history for a stage."""
    found: dict[str, Any] = next(entry for entry in run["history"] if entry["stage"] == stage)
    return found


def fact(page: Page, name: str):
    """What stands beside a name among the facts."""
    return page.locator(f".facts dt:text-is('{name}') + dd")


def test_a_live_endpoint_costs_more_by_the_hour(retold: Callable[..., Page]) -> None:
    """Hours since the deployment began times the price: not what the record cost when it was seen first."""

    def first_seen_early(run: dict[str, Any]) -> None:
        entry_of(run, "deploying")["at"] = ago(hours=10)
        run["cost"] |= {"endpoint_node_hours": 0.0011, "endpoint_cost": 0.0}

    page = retold(first_seen_early)
    expect(fact(page, "Endpoint nodes")).to_have_text("10 h, costing 36.70 USD")


def test_a_stopped_run_can_be_started_again(live_run: str, retold: Callable[..., Page]) -> None:
    """The dialog says on what and for how long; what the run waits for is said meanwhile."""

    def waiting(run: dict[str, Any]) -> None:
        hours = "its hours, Mon-Fri 07:00-19:00 Europe/Berlin"
        run |= {"stage": "stopped", "may_be_started": True, "waiting_for": hours}

    page = retold(waiting)
    expect(page.locator(".lead")).to_have_text("Waiting for its hours, Mon-Fri 07:00-19:00 Europe/Berlin.")
    asked: list[str] = []
    page.route(
        f"**/api/runs/{live_run}/start", lambda route: (asked.append(route.request.method), route.abort())
    )
    page.get_by_role("button", name="Start again …").click()
    dialog = page.get_by_role("dialog", name="Deploy")
    expect(dialog.get_by_text(re.compile("gets an endpoint on 1 . Standard_"))).to_be_visible()
    dialog.get_by_role("button", name="Start again", exact=True).click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    assert asked == ["POST"]


def test_a_stopped_run_costs_no_more(retold: Callable[..., Page]) -> None:
    """Its hours stand still, nothing is to come, and its last stage is no longer under way."""

    def stopped(run: dict[str, Any]) -> None:
        entry_of(run, "deploying")["at"] = ago(hours=10)
        twice = {"deleting": 9, "stopped": 9, "trained": 7, "live": 6.5, "deleting ": 6, "stopped ": 5}
        run["history"] += [{"stage": stage.strip(), "at": ago(hours=hours)} for stage, hours in twice.items()]
        run |= {"stage": "stopped", "end_reason": "its time is up"}
        run["cost"] |= {"endpoint_node_hours": 4.0, "endpoint_cost": 14.68}
        run["cost"] |= {"saved_node_hours": 7.0, "saved_cost": 25.69}

    page = retold(stopped)
    expect(fact(page, "Endpoint nodes")).to_have_text("4 h, costing 14.68 USD")
    expect(fact(page, "Saved")).to_have_text("7 h, costing 25.69 USD")
    expect(page.locator(".timeline .ahead")).to_have_count(0)
    expect(page.locator(".timeline .current")).to_have_count(0)


def test_a_restarted_run_costs_for_the_times_that_it_was_up(retold: Callable[..., Page]) -> None:
    """Four hours before it was stopped, one since it was started again: what lies between costs nothing."""

    def restarted(run: dict[str, Any]) -> None:
        entry_of(run, "deploying")["at"] = ago(hours=10)
        again = {"deleting": 6.5, "stopped": 6, "deploying": 1, "live": 0.5}
        run["history"] += [{"stage": stage, "at": ago(hours=hours)} for stage, hours in again.items()]
        run["cost"] |= {"endpoint_node_hours": 4.0, "endpoint_cost": 14.68}

    page = retold(restarted)
    expect(fact(page, "Endpoint nodes")).to_have_text("5 h, costing 18.35 USD")


def test_a_job_that_goes_on_costs_more_by_the_hour(retold: Callable[..., Page]) -> None:
    """So does training, on all of its nodes."""

    def in_training(run: dict[str, Any]) -> None:
        run["stage"] = "training"
        times = {"received": ago(hours=3), "training": ago(hours=2)}
        run["history"] = [{"stage": stage, "at": at} for stage, at in times.items()]
        run["plan"]["parameters"]["num_nodes_finetune"] = 2

    page = retold(in_training)
    expect(fact(page, "Training nodes")).to_have_text("4 h, costing 14.68 USD")


def test_without_prices_there_are_hours_only(retold: Callable[..., Page]) -> None:
    """Nothing is made up."""

    def unpriced(run: dict[str, Any]) -> None:
        for name in ("currency", "training_price_per_hour", "endpoint_price_per_hour", "training_cost"):
            run["cost"][name] = None

    page = retold(unpriced)
    expect(fact(page, "Endpoint nodes")).not_to_contain_text("costing")
    expect(fact(page, "Training nodes")).not_to_contain_text("costing")


def test_stages_of_another_day_have_their_date(retold: Callable[..., Page]) -> None:
    """A run over midnight is read without guessing; what happened today has its seconds."""

    def over_midnight(run: dict[str, Any]) -> None:
        entry_of(run, "training")["at"] = ago(days=1)

    page = retold(over_midnight)
    steps = page.locator(".timeline li")
    day = (datetime.now().astimezone() - timedelta(days=1)).day
    expect(steps.filter(has_text="Training").locator("time").first).to_have_text(
        re.compile(rf"^\w+ {day}, \d+:\d+\s[AP]M$")
    )
    expect(steps.filter(has_text="Live").locator("time").first).to_have_text(
        re.compile(r"^\d+:\d+:\d+\s[AP]M$")
    )


def test_a_long_teardown_is_said_to_be_long(retold: Callable[..., Page]) -> None:
    """The run's own page says why the list has it among those that need attention."""

    def tearing_down(run: dict[str, Any]) -> None:
        run["history"].append({"stage": "deleting", "at": ago(hours=2)})
        run |= {"stage": "deleting", "outcome": "deleted", "needs_attention": True}

    page = retold(tearing_down)
    expect(page.locator(".note.warn")).to_contain_text("The teardown has lasted for over an hour.")


def test_an_overdue_run_is_said_to_be_overdue(retold: Callable[..., Page]) -> None:
    """Nobody advances it; that is no teardown."""
    page = retold(lambda run: run.update(stage="training", needs_attention=True))
    expect(page.locator(".note.warn")).to_contain_text("The run has been due for over an hour")


def test_the_last_hour_stands_out_when_it_comes(live_run: str, open_page: Callable[..., Page]) -> None:
    """Without a change of the record, and by the app's clock, here two hours ahead of the browser's."""
    ends: list[str] = []

    def headers() -> dict[str, str]:
        return {"Date": format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)}

    def answer(route: Route) -> None:
        clock = datetime.now(UTC) + timedelta(hours=2)
        ends.append((clock + timedelta(seconds=3608)).isoformat())
        runs = [listed("ft-ending-0", "live", expires_at=ends[0]), listed("ft-going-0", "training")]
        route.fulfill(json={"runs": runs, "next": None}, headers=headers())

    page = open_page("/")
    page.route("**/api/runs?*", answer)
    nothing = {"uploads": [], "more": 0}
    page.route("**/api/uploads?*", lambda route: route.fulfill(json=nothing, headers=headers()))
    for other in ("slots", "datasets"):
        page.route(f"**/api/{other}", lambda route: route.fulfill(status=503, headers=headers()))
    # The page may have asked once before the route was there.
    left = page.locator(".left time").first
    expect(left).to_have_text(re.compile(r"^1\sh$"))
    expect(left).not_to_have_class("soon")
    expect(left).to_have_class("soon")


def test_ages_do_not_flicker(live_run: str, open_page: Callable[..., Page]) -> None:
    """Past the first minute, seconds are left out."""
    page = open_page("/")
    entries = [listed(f"ft-{age}-0", "training", opened_at=ago(seconds=age)) for age in (3605, 95)]
    page.route("**/api/runs?*", lambda route: route.fulfill(json={"runs": entries, "next": None}))
    expect(page.locator(".age time")).to_have_text([re.compile(r"^1\smin$"), re.compile(r"^1\sh$")])
