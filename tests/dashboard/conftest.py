"""A real browser before the real stack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.dashboard.scenes import Scenes
from tests.live_stack import LiveStack

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / ".local" / "screenshots"
WIDE = (1440, 900)
PHONE = (360, 800)

expect.set_options(timeout=90_000)


@pytest.fixture(scope="package")
def scenes(live_stack: LiveStack) -> Iterator[Scenes]:
    """The shared stack: tests keep apart by the names of their datasets."""
    made = Scenes(live_stack.stack)
    yield made
    made.close()


@pytest.fixture(scope="package")
def live_run(scenes: Scenes) -> str:
    """A run whose endpoint answers; nobody deletes it."""
    return scenes.live("support-chat", parameters={"num_train_epochs": 2}, idle_minutes=0)


@pytest.fixture(scope="package")
def rejected_run(scenes: Scenes) -> str:
    """A run whose dataset cannot be used."""
    return scenes.rejected("broken-export")


@pytest.fixture(scope="package")
def suspended_run(scenes: Scenes) -> str:
    """A run that waits for a person."""
    return scenes.suspended("sales-emails", "KeyError: the endpoint's state 'Paused' is unknown")


@pytest.fixture(scope="package")
def failed_run(scenes: Scenes) -> str:
    """A run whose training ran out of memory."""
    return scenes.failed("out-of-memory")


@pytest.fixture(scope="package")
def training_run(scenes: Scenes) -> str:
    """A run whose job takes its time."""
    return scenes.training("long-training")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, which `make browser` installs: each page in a context of its own.

    One for each file: while Playwright is there, an event loop runs in this thread, and no test that follows
    could run one of its own.
    """
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "the tests of the dashboard need Chromium: make browser, or apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium)
        yield started
        started.close()


@pytest.fixture
def context_of(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser windows; whatever goes wrong in their scripts fails the test."""
    opened: list[BrowserContext] = []
    faults: list[str] = []

    def make(size: tuple[int, int] = WIDE, **options: Any) -> BrowserContext:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        context.on("weberror", lambda fault: faults.append(str(fault.error)))
        context.on("console", lambda said: faults.append(said.text) if _is_fault(said.text) else None)
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()
    assert faults == []


@pytest.fixture
def open_page(scenes: Scenes, context_of: Callable[..., BrowserContext]) -> Callable[..., Page]:
    """Opens the dashboard at an address below `#`, its key known already."""

    def opened(address: str = "/", size: tuple[int, int] = WIDE, **options: Any) -> Page:
        context = context_of(size, **options)
        key = scenes.stack.function_key
        save = f"sessionStorage.setItem('finetune-on-upload.key', {key!r})"
        context.add_init_script(f"if (location.protocol === 'http:') {save}")
        page = context.new_page()
        page.goto(f"{scenes.stack.functions_url}/api/dashboard#{address}")
        expect(page.locator("#connection")).to_have_text("Connected")
        return page

    return opened


def take_picture(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page, for people to look at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def _is_fault(text: str) -> bool:
    """Whether a line on the console tells of a violation of the page's policy, not of an answer's status."""
    return "Content Security Policy" in text or "Trusted Type" in text or "TrustedHTML" in text
