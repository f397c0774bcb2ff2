"""The card with which a live model is called from one's own code: its snippets run as they are copied."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.dashboard.conftest import PHONE, WIDE, take_picture
from tests.dashboard.scenes import Scenes


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_code_is_chosen_by_keyboard_copied_and_runs(
    size: tuple[int, int], scenes: Scenes, live_run: str, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    """The first two get an answer of the model, the third is valid; nothing hangs over the edge."""
    page = open_page(f"/runs/{live_run}", size, permissions=["clipboard-read", "clipboard-write"])
    card = page.locator(".use-it")
    expect(card).to_contain_text(f"{scenes.stack.functions_url}/api/v1")
    expect(card).to_contain_text("works on 8 requests at once")
    take_picture(page, f"use-it-{size[0]}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    copied = {}
    page.get_by_role("radio", name="curl").focus()
    for language in ("curl", "Python", "JavaScript"):
        expect(page.get_by_role("radio", name=language)).to_be_checked()
        page.get_by_role("button", name="Copy the code").click()
        expect(page.locator("#announcements")).to_contain_text("Copied the code")
        copied[language] = page.evaluate("navigator.clipboard.readText()")
        page.get_by_role("radio", name=language).focus()
        page.keyboard.press("ArrowRight")
    if size == WIDE:
        # The phone's are the same.
        said = json.loads(ran(["sh", "-c", copied["curl"]], scenes))["choices"][0]["message"]["content"]
        assert said
        assert ran([sys.executable, "-c", copied["Python"]], scenes).strip() == said
        script = tmp_path / "chat.mjs"
        script.write_text(copied["JavaScript"])
        ran(["node", "--check", str(script)], scenes)


def ran(command: list[str], scenes: Scenes) -> str:
    """What a command says, with nothing but the key in its environment."""
    environment = {"PATH": os.environ["PATH"], "FINETUNE_API_KEY": scenes.stack.function_key}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_that_is_not_live_has_no_such_card(failed_run: str, open_page: Callable[..., Page]) -> None:
    """There would be nothing to call."""
    page = open_page(f"/runs/{failed_run}")
    expect(page.locator("h1")).to_contain_text("out-of-memory")
    expect(page.locator(".use-it")).to_be_hidden()


def test_the_address_may_hand_the_key_over(
    scenes: Scenes, live_run: str, context_of: Callable[..., BrowserContext]
) -> None:
    """As `make dev` prints it; it stays neither in the address nor in the history."""
    page = context_of().new_page()
    page.goto(f"{scenes.stack.functions_url}/#key={scenes.stack.function_key}")
    expect(page.get_by_role("link", name="support-chat")).to_be_visible()
    assert page.url == f"{scenes.stack.functions_url}/api/dashboard"
    assert page.evaluate("history.length") <= 2
