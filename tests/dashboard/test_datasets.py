"""Datasets in Chromium: the current model of each, its history, and the trend of its runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from shared.domain.run.parts import Metrics
from shared.domain.run.stages import Stage
from tests.app.builders import a_run
from tests.dashboard.accessibility import complaints
from tests.dashboard.conftest import PHONE, WIDE, take_picture
from tests.dashboard.scenes import Scenes
from tests.dashboard.seeding import seed

LOSSES = (1.42, 1.21, 0.98)


def a_dataset(scenes: Scenes, dataset: str) -> list[str]:
    """Three runs, the newest last; the last two are stopped with their models."""
    runs = []
    for number, loss in enumerate(LOSSES):
        at = datetime.now(UTC) - timedelta(days=6 - 2 * number)
        stage = Stage.STOPPED if number else Stage.DELETED
        metrics = Metrics(latest={}, history={}, train_loss=1.0, eval_loss=loss)
        run = a_run(stage, now=at, run_id=f"ft-trend-{number:010x}", dataset=dataset, metrics=metrics)
        runs.append(seed(scenes, run))
    return runs


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_dataset_has_a_current_model_a_trend_and_its_runs(
    size: tuple[int, int], scenes: Scenes, open_page: Callable[..., Page]
) -> None:
    """Found from the list; another model is made current and the one before again, by keyboard."""
    name = f"trend/{size[0]}"
    oldest, middle, newest = a_dataset(scenes, name)
    page = open_page("/datasets", size)
    page.get_by_label("Search for a dataset").fill(name)
    row = page.locator("tbody tr").filter(has_text=name)
    expect(row).to_contain_text(newest)
    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    row.get_by_role("link", name=name).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    current = page.locator(".current-model")
    expect(current).to_contain_text(f"{newest} evaluation loss 0.9800")
    expect(page.locator(".trend .point")).to_have_count(3)
    page.get_by_text("As a table").click()
    table = page.get_by_role("region", name="Evaluation loss by run")
    expect(table.locator("tbody tr")).to_contain_text([f"{newest} (current)", middle, oldest])
    expect(page.locator(".runs .what a")).to_have_text([newest, middle, oldest])
    expect(page.locator(".runs tr").filter(has_text=newest)).to_contain_text("current")
    take_picture(page, f"dataset-{size[0]}")
    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for run_id, why in ((middle, "it answers better"), (newest, "on second thought")):
        page.get_by_role("button", name="Make another current …").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Run")).to_have_value(run_id)
        dialog.get_by_label("Why").fill(why)
        page.keyboard.press("Enter")
        expect(current).to_contain_text(run_id)
    page.get_by_role("button", name="Roll back …").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(current).to_contain_text(middle)
    page.get_by_text("How it came to be (3)").click()
    expect(page.locator(".switches li").nth(2)).to_contain_text("promoted by the page: it answers better")
    assert scenes.api.get(f"/api/datasets/{name.replace('/', '%2F')}").json()["current"] == middle


def test_a_dataset_that_there_is_not_is_said_to_be_unknown(open_page: Callable[..., Page]) -> None:
    """Names of JavaScript's own among them."""
    page = open_page("/datasets/__proto__")
    expect(page.get_by_role("alert")).to_contain_text(
        "No run was ever opened for a dataset called __proto__."
    )
