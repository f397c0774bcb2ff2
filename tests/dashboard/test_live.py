"""The page stays true by itself, asks no more than it has to, and bears being alone."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from tests.dashboard.scenes import Scenes, listed

LISTEN = """
  window.said = [];
  const region = document.getElementById("announcements");
  new MutationObserver(() => window.said.push(region.textContent)).observe(region, { childList: true });
"""

LISTEN_TO_CONNECTION = """
  window.heard = [];
  const state = document.getElementById("connection");
  new MutationObserver(() => window.heard.push(state.textContent))
    .observe(state, { childList: true, characterData: true, subtree: true });
"""


def test_a_run_appears_and_moves_without_a_reload(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """An upload shows up in the list, comes to life, and is announced to those who listen."""
    page = open_page("/")
    page.evaluate(LISTEN)
    scenes.upload("fresh-upload")
    row = page.locator(".runs tbody tr").filter(has_text="fresh-upload")
    expect(row).to_be_visible()
    expect(row.locator(".badge")).to_have_text("live")
    assert any("fresh-upload is live" in said for said in page.evaluate("window.said"))


def test_changes_seen_at_once_are_all_said(live_run: str, open_page: Callable[..., Page]) -> None:
    """What one look at the list finds is announced line by line, nothing in place of anything else."""
    page = open_page("/")
    stages = iter([("training", "training"), ("live", "failed")])
    now = ("live", "failed")

    def answer(route: Route) -> None:
        entries = [listed(f"ft-{name}-0", stage) for name, stage in zip("ab", next(stages, now), strict=True)]
        route.fulfill(json={"runs": entries, "next": None})

    page.route("**/api/runs?*", answer)
    expect(page.locator(".runs .badge")).to_have_text(["live", "failed"])
    region = page.locator("#announcements")
    expect(region).to_contain_text("ft-a-0 is live")
    expect(region).to_contain_text("ft-b-0 is failed")


def test_a_run_page_asks_for_its_run_alone(
    suspended_run: str, live_run: str, open_page: Callable[..., Page]
) -> None:
    """What it says of a suspended run comes with the run: no list but that of its dataset is read for it."""
    page = open_page(f"/runs/{live_run}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("address => { location.hash = address }", f"/runs/{suspended_run}")
    expect(page.get_by_role("heading", name="Suspended: this run needs a person")).to_be_visible()
    assert [url for url in asked if "/runs?" in url and "dataset=sales-emails" not in url] == []


def test_a_list_that_has_not_changed_is_not_sent_again(live_run: str, open_page: Callable[..., Page]) -> None:
    """Looks at the list are conditional, too; here at the part of it in which nothing moves."""
    page = open_page("/")
    page.route(
        "**/api/runs?*", lambda route: route.continue_(url=f"{route.request.url}&dataset=support-chat")
    )
    with page.expect_response(lambda answer: "/runs?" in answer.url and answer.status == 304):
        pass
    expect(page.get_by_role("link", name="support-chat")).to_be_visible()


def test_what_has_not_changed_is_not_sent_again(live_run: str, open_page: Callable[..., Page]) -> None:
    """Looks at a run are conditional: the same version is answered with 304 and drawn once."""
    page = open_page(f"/runs/{live_run}")
    page.locator("h1").evaluate("heading => heading.dataset.seen = 'yes'")
    with page.expect_response(lambda answer: answer.url.endswith(live_run) and answer.status == 304):
        pass
    expect(page.locator("h1")).to_have_attribute("data-seen", "yes")


def test_nobody_looking_means_nobody_asking(live_run: str, open_page: Callable[..., Page]) -> None:
    """A hidden tab asks nothing, whatever wakes it; it asks at once when it is looked at again."""
    page = open_page("/")
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    page.evaluate("fetch('dashboard/icon.svg').then(answer => answer.text())")
    assert [url for url in asked if "/runs" in url] == []
    with page.expect_request("**/api/runs?*"):
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_a_lost_connection_is_said_and_found_again(live_run: str, open_page: Callable[..., Page]) -> None:
    """What was known stays on the page; the page tries again with patience, and at once when back online."""
    page = open_page("/")
    connection = page.locator("#connection")
    page.context.set_offline(True)
    expect(connection).to_contain_text("cannot be reached")
    expect(connection).to_contain_text("Next try in")
    expect(page.get_by_role("link", name="support-chat")).to_be_visible()
    page.context.set_offline(False)
    expect(connection).to_have_text("Connected")


def test_tries_grow_further_apart(live_run: str, open_page: Callable[..., Page]) -> None:
    """An app that is down is not hammered: 2, 4, 8 seconds and so on."""
    page = open_page("/")
    page.evaluate(LISTEN_TO_CONNECTION)
    page.route(
        "**/api/runs?*", lambda route: route.fulfill(status=503, json={"detail": "The app is starting."})
    )
    expect(page.locator("#connection")).to_have_text("The app is starting. Next try in 8 s.")
    told = [re.search(r"Next try in (\d+) s", said) for said in page.evaluate("window.heard")]
    assert list(dict.fromkeys(found[1] for found in told if found)) == ["2", "4", "8"]


def test_training_shows_its_loss_while_it_goes_on(live_run: str, open_page: Callable[..., Page]) -> None:
    """How far it is, when it ends, and the curves so far."""
    run = {"stage": "training", "metrics": None, "endpoint": None, "progress": TRAINING}

    def answer(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | run)

    page = open_page("/")
    page.route(f"**/api/runs/{live_run}", answer)
    page.evaluate("address => { location.hash = address }", f"/runs/{live_run}")
    loss = page.locator(".card").filter(has=page.get_by_role("heading", name="Training", exact=True, level=2))
    expect(loss).to_contain_text("120 of 240")
    expect(loss).to_contain_text("1.5 of 3")
    expect(loss).to_contain_text("The evaluation loss rose 3 times in a row.")
    expect(loss.get_by_role("slider")).to_be_visible()


TRAINING = {
    "read_at": "2100-01-01T00:00:00Z",
    "began": "2026-01-01T00:00:00Z",
    "step": 120,
    "steps": 240,
    "epoch": 1.5,
    "epochs": 3.0,
    "ends_at": "2100-01-01T02:00:00Z",
    "train_loss": 1.25,
    "eval_loss": 1.5,
    "train_losses": [{"step": 10, "value": 2.0}, {"step": 120, "value": 1.25}],
    "eval_losses": [{"step": 60, "value": 1.4}, {"step": 120, "value": 1.5}],
    "diverged": "the evaluation loss rose 3 times in a row",
}
