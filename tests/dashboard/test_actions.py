"""Every button, pressed in Chromium, and what becomes of the run on the real stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from playwright.sync_api import Page, Route, expect

from tests.dashboard.conftest import take_picture
from tests.dashboard.scenes import Scenes


def stage_of(page: Page):
    """The badge in the head of a run's page."""
    return page.locator("h1 .badge")


def test_extending_moves_the_end(scenes: Scenes, live_run: str, open_page: Callable[..., Page]) -> None:
    """The dialog says until when; the app's record has it afterwards."""
    before = datetime.fromisoformat(scenes.run(live_run)["endpoint"]["expires_at"])
    page = open_page(f"/runs/{live_run}")
    page.get_by_role("button", name="Extend …").click()
    dialog = page.get_by_role("dialog", name="Extend the endpoint")
    dialog.get_by_label("Hours to add").fill("2")
    expect(dialog.get_by_text("even if it is not used")).to_be_visible()
    expect(dialog.locator("#most-hours")).to_have_text(re.compile(r"^At most 14\d(\.\d+)? h, until .+ UTC:"))
    take_picture(page, "dialog")
    dialog.get_by_role("button", name="Extend", exact=True).click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".lead")).to_contain_text("1 d")
    after = datetime.fromisoformat(scenes.run(live_run)["endpoint"]["expires_at"])
    assert after - before == timedelta(hours=2)


def test_an_extension_over_the_limit_is_not_sent(
    scenes: Scenes, live_run: str, open_page: Callable[..., Page]
) -> None:
    """The dialog says by how much, in the reader's own time, and stays open to be corrected."""
    page = open_page(f"/runs/{live_run}", timezone_id="Asia/Kolkata")
    page.get_by_role("button", name="Extend …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Hours to add").fill("5000")
    expect(dialog.locator("#new-end")).to_have_text(re.compile(r"^That is too long: 14\d(\.\d+)? h at most"))
    expect(dialog.locator("#most-hours")).to_contain_text("GMT+5:30")
    dialog.get_by_role("button", name="Extend", exact=True).click()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Extend …")).to_be_focused()


def test_deleting_is_confirmed_and_followed(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """Nothing happens before the confirmation; after it the page follows the run to its end by itself."""
    run_id = scenes.live("short-lived")
    page = open_page(f"/runs/{run_id}")
    page.get_by_role("button", name="Delete endpoint …").click()
    dialog = page.get_by_role("dialog", name="Delete the endpoint?")
    keep = dialog.get_by_role("button", name="Change nothing")
    expect(keep).to_be_focused()
    keep.click()
    assert scenes.run(run_id)["stage"] == "live"
    page.get_by_role("button", name="Delete endpoint …").click()
    dialog.get_by_role("button", name="Delete endpoint").click()
    expect(stage_of(page)).to_have_text("deleted")
    expect(page.locator("#announcements")).to_contain_text("deleted")
    expect(page.locator(".actions button")).to_have_count(0)
    assert scenes.run(run_id)["stage"] == "deleted"


def test_canceling_stops_a_run(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """A run in training is canceled, and its page says so."""
    page = open_page(f"/runs/{scenes.training('code-review')}")
    expect(stage_of(page)).to_have_text("training")
    page.get_by_role("button", name="Cancel run …").click()
    page.get_by_role("dialog", name="Cancel code-review?").get_by_role("button", name="Cancel run").click()
    expect(stage_of(page)).to_have_text("canceled")


def test_retrying_has_a_run_looked_at_again(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """A run that stumbles shows the fault and a button; once the cause is gone, the button gets it going."""
    run_id = scenes.struggling("ticket-triage")
    page = open_page(f"/runs/{run_id}")
    expect(page.locator(".note.warn")).to_contain_text("The workspace is busy; try again later.")
    take_picture(page, "struggling")
    scenes.no_faults()
    page.get_by_role("button", name="Retry now").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry now").click()
    expect(stage_of(page)).to_have_text("live")


def test_a_suspended_run_says_why_and_can_be_retried(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """Suspended runs do nothing until somebody asks."""
    page = open_page(f"/runs/{scenes.suspended('stuck', 'KeyError: a key that nobody foresaw')}")
    expect(page.locator(".note.warn")).to_contain_text("KeyError: a key that nobody foresaw")
    page.get_by_role("button", name="Retry now").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry now").click()
    expect(page.locator(".note.warn")).to_have_count(0)


def test_a_refusal_comes_back_after_escape(live_run: str, open_page: Callable[..., Page]) -> None:
    """Who closes the dialog while the app still thinks is told all the same that it said no."""
    page = open_page(f"/runs/{live_run}")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/extend", hold)
    page.get_by_role("button", name="Extend …").click()
    dialog = page.get_by_role("dialog")
    with page.expect_request("**/extend"):
        dialog.get_by_role("button", name="Extend", exact=True).click()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    held[0].fulfill(status=422, json={"detail": "It may live until noon at the longest."})
    expect(dialog.get_by_role("alert")).to_have_text("It may live until noon at the longest.")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
