"""`make screenshots`: the pictures of `docs/images/`, of a real stack with the times of its runs moved."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from local.stack import Stack
from shared.domain.run.stages import Stage
from tests.dashboard import sample_dataset
from tests.dashboard.aging import age
from tests.dashboard.scenes import Scenes
from tests.live_stack import SETTINGS

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDE = (1280, 800)
PHONE = (360, 780)
QUESTIONS = (
    "How do I descale a kettle?",
    "Thank you! And how can I keep fresh herbs?",
    "Last one: my soup is too thin. How do I thicken it?",
)
CURVES = {"logging_steps": 5, "evaluation_strategy": "steps", "eval_steps": 20}


def main() -> int:
    """Make the runs, take the pictures."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is needed: make browser")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pictures-") as folder,
        Stack(folder=Path(folder), host="local", pace="instant", settings=SETTINGS) as stack,
        sync_playwright() as playwright,
    ):
        scenes = Scenes(stack)
        shown, rejected = _make_runs(scenes)
        browser = playwright.chromium.launch(executable_path=chromium)
        _take(browser, stack, "overview-light", "/", "tbody tr:last-child")
        _take(browser, stack, "overview-dark", "/", "tbody tr:last-child", scheme="dark")
        _take(browser, stack, "run", f"/runs/{shown}", ".grid")
        _take(browser, stack, "report", f"/runs/{rejected}/report", ".finding:nth-of-type(8)", below=0)
        _take(browser, stack, "phone", "/", "tbody tr:nth-child(4)", below=0, size=PHONE)
        page = _open(browser, stack, f"/runs/{shown}/chat", (WIDE[0], 940), "dark")
        for number, question in enumerate(QUESTIONS):
            page.get_by_label("Your message").fill(question)
            page.keyboard.press("Enter")
            page.locator(".turn.assistant:not(.waiting)").nth(number).wait_for()
        page.screenshot(path=IMAGES / "chat.png")
        browser.close()
        scenes.close()
    return 0


def _make_runs(scenes: Scenes) -> tuple[str, str]:
    """Runs in every state; the ids of one that is live and of one that is rejected."""
    rejected = scenes.rejected("broken-export")
    failed = scenes.failed("legal-summaries")
    done = scenes.live("onboarding-bot")
    scenes.api.delete(f"/api/endpoints/{done}").raise_for_status()
    scenes.wait(done, "deleted")
    soon = scenes.live("product-faq", idle_minutes=0)
    scenes.pace("fast")
    shown = scenes.live("kitchen-helper", rows=sample_dataset.rows(), parameters=CURVES)
    scenes.pace("instant")
    stuck = scenes.lasting_teardown("sales-emails")
    waiting = scenes.struggling("ticket-triage")
    training = scenes.training("code-review")

    age(scenes, rejected, timedelta(days=9))
    age(scenes, failed, timedelta(days=6), lasted={Stage.TRAINING: timedelta(minutes=18)})
    age(scenes, done, timedelta(days=4))
    age(scenes, soon, timedelta(hours=22.4))
    age(scenes, shown, timedelta(hours=5.3), used_ago=timedelta(minutes=8))
    age(scenes, stuck, timedelta(hours=27.6))
    age(scenes, training, timedelta(hours=1.2))
    age(scenes, waiting, timedelta(minutes=12))
    return shown, rejected


def _take(
    browser: Browser,
    stack: Stack,
    name: str,
    address: str,
    until: str,
    *,
    below: int = 24,
    size: tuple[int, int] = WIDE,
    scheme: str = "light",
) -> None:
    """Take a picture that ends some pixels below an element, so that it cuts nothing in two."""
    page = _open(browser, stack, address, size, scheme)
    box = page.locator(until).first.bounding_box()
    assert box is not None
    page.set_viewport_size({"width": size[0], "height": round(box["y"] + box["height"]) + below})
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
    page.wait_for_load_state("networkidle")
    page.evaluate("document.activeElement.blur()")
    return page


if __name__ == "__main__":
    sys.exit(main())
