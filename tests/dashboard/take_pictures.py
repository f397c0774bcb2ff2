"""`make screenshots`: the pictures of `docs/images/`, taken of a real stack with runs in every state."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from local.stack import Stack
from tests.dashboard.scenes import PRICES, UNLIMITED, Scenes

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDE = (1280, 800)
PHONE = (360, 780)
CURVES = {"logging_steps": 5, "evaluation_strategy": "steps", "eval_steps": 20}


def main() -> int:
    """Make the runs, take the pictures."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is needed: make browser")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pictures-") as folder,
        Stack(folder=Path(folder), host="local", pace="instant", settings={**UNLIMITED, **PRICES}) as stack,
        sync_playwright() as playwright,
    ):
        scenes = Scenes(stack)
        shown, rejected = _make_runs(scenes)
        browser = playwright.chromium.launch(executable_path=chromium)
        _take(browser, stack, "overview-light", "/")
        _take(browser, stack, "overview-dark", "/", scheme="dark")
        _take(browser, stack, "run", f"/runs/{shown}", height=1260)
        _take(browser, stack, "report", f"/runs/{rejected}/report", height=1000)
        _take(browser, stack, "phone", "/", size=PHONE)
        page = _open(browser, stack, f"/runs/{shown}/chat", (1280, 940), "dark")
        page.locator(".suggestions button").nth(1).click()
        page.locator(".turn.assistant:not(.waiting)").wait_for()
        page.get_by_label("Your message").fill("And what goes well with it?")
        page.keyboard.press("Enter")
        page.locator(".turn.assistant:not(.waiting)").nth(1).wait_for()
        page.screenshot(path=IMAGES / "chat.png")
        browser.close()
        scenes.close()
    return 0


def _make_runs(scenes: Scenes) -> tuple[str, str]:
    """Runs in every state; the ids of one that is live and of one that is rejected."""
    rejected = scenes.rejected("broken-export")
    scenes.failed("legal-summaries")
    done = scenes.live("onboarding-bot")
    scenes.api.delete(f"/api/endpoints/{done}").raise_for_status()
    scenes.wait(done, "deleted")
    scenes.live("product-faq", lifetime_hours=3.5, idle_minutes=0)
    scenes.pace("fast")
    shown = scenes.live("kitchen-helper", parameters=CURVES)
    scenes.pace("instant")
    scenes.parked("sales-emails", "KeyError: the endpoint's state 'Paused' is unknown")
    scenes.struggling("ticket-triage")
    scenes.training("code-review")
    return shown, rejected


def _take(
    browser: Browser,
    stack: Stack,
    name: str,
    address: str,
    *,
    size: tuple[int, int] = WIDE,
    scheme: str = "light",
    height: int | None = None,
) -> None:
    page = _open(browser, stack, address, (size[0], height or size[1]), scheme)
    page.screenshot(path=IMAGES / f"{name}.png")
    page.context.close()


def _open(browser: Browser, stack: Stack, address: str, size: tuple[int, int], scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if size[0] < 500 else 1,
    )
    page = context.new_page()
    page.goto(f"{stack.functions_url}/api/dashboard#{address}")
    page.get_by_label("Key").fill(stack.function_key)
    page.keyboard.press("Enter")
    page.locator("h1").wait_for()
    page.locator("main .ghost").first.wait_for(state="detached")
    page.evaluate("document.activeElement.blur()")
    return page


if __name__ == "__main__":
    sys.exit(main())
