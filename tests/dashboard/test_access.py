"""For everybody: axe-core finds nothing, the keyboard reaches everything, and nothing hangs over the edge."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.dashboard.accessibility import complaints
from tests.dashboard.conftest import PHONE, WIDE, take_picture
from tests.dashboard.scenes import Scenes

LOOKS = [("light", WIDE), ("dark", WIDE), ("light", PHONE), ("dark", PHONE)]
NAMES = [f"{scheme}-{size[0]}" for scheme, size in LOOKS]


@pytest.mark.parametrize(("scheme", "size"), LOOKS, ids=NAMES)
def test_every_page_is_accessible_and_fits(
    scheme: str,
    size: tuple[int, int],
    live_run: str,
    rejected_run: str,
    suspended_run: str,
    open_page: Callable[..., Page],
) -> None:
    """Every page, light and dark, wide and narrow: no violation, no sideways scrolling."""
    page = open_page("/", size, color_scheme=scheme)
    addresses = {
        "overview": "/",
        "run": f"/runs/{live_run}",
        "suspended": f"/runs/{suspended_run}",
        "report": f"/runs/{rejected_run}/report",
        "chat": f"/runs/{live_run}/chat",
    }
    for name, address in addresses.items():
        page.evaluate("address => { location.hash = address }", address)
        expect(page.locator("main .ghost")).to_have_count(0)
        expect(page.locator("h1")).to_be_visible()
        take_picture(page, f"{name}-{scheme}-{size[0]}")
        assert complaints(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name


@pytest.mark.parametrize(("scheme", "size"), LOOKS[1:3], ids=NAMES[1:3])
def test_what_is_not_well_or_not_there_is_accessible(
    scheme: str,
    size: tuple[int, int],
    failed_run: str,
    training_run: str,
    open_page: Callable[..., Page],
) -> None:
    """A failure, a job under way with nothing to show yet, no runs at all, and an address of nothing."""
    page = open_page("/", size, color_scheme=scheme)
    page.route("**/api/runs?*", lambda route: route.fulfill(json={"runs": [], "next": None}))
    states = {
        "failed": f"/runs/{failed_run}",
        "training": f"/runs/{training_run}",
        "waiting": f"/runs/{training_run}/chat",
        "unknown": "/runs/ft-nothing-0123456789",
        "empty": "/",
    }
    for name, address in states.items():
        page.evaluate("address => { location.hash = address }", address)
        expect(page.locator("main .ghost")).to_have_count(0)
        expect(page.locator("main :is(h1, h2)").first).to_be_visible()
        take_picture(page, f"{name}-{scheme}-{size[0]}")
        assert complaints(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name


def test_the_question_for_the_key_is_accessible(
    scenes: Scenes, context_of: Callable[..., BrowserContext]
) -> None:
    """So is the very first thing that is shown."""
    page = context_of(PHONE).new_page()
    page.goto(f"{scenes.stack.functions_url}/api/dashboard")
    expect(page.get_by_label("Key")).to_be_focused()
    assert complaints(page) == []


def test_dialogs_are_accessible(live_run: str, open_page: Callable[..., Page]) -> None:
    """A dialog has a name, holds the focus, and breaks no rule."""
    page = open_page(f"/runs/{live_run}", PHONE)
    for button in ("Extend …", "Delete endpoint …"):
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert complaints(page) == [], button
        assert page.evaluate("document.activeElement.closest('dialog') !== null")
        page.keyboard.press("Escape")


def test_the_keyboard_reaches_everything(live_run: str, open_page: Callable[..., Page]) -> None:
    """From the top of the page: the skip link, the tiles, a run, and its pages."""
    page = open_page("/")
    expect(page.get_by_role("link", name="support-chat")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_label("Search for a dataset or a run").focus()
    page.keyboard.type("support-chat")
    expect(page.locator(".runs tbody tr")).to_have_count(1)
    tiles, columns = 4, 6
    for _ in range(tiles + columns + 1):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="support-chat")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_title(re.compile(live_run))
    expect(page.locator("#main")).to_be_focused()
    page.get_by_role("link", name="Chat", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your message")).to_be_visible()


def test_the_skip_link_stays_on_the_page(live_run: str, open_page: Callable[..., Page]) -> None:
    """It moves the focus to the content of this page; the address is that of the run still."""
    page = open_page(f"/runs/{live_run}")
    expect(page.locator("h1")).to_contain_text("support-chat")
    page.get_by_role("link", name="Skip to the content").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    assert page.url.endswith(f"#/runs/{live_run}")
    expect(page.locator("h1")).to_contain_text("support-chat")
