"""Talking with a live model: its turns, and what becomes of them when something comes between."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest
from azureml_emulator import INSTANT
from playwright.sync_api import Page, Route, expect

from local.processes import wait_until
from tests.dashboard.accessibility import complaints
from tests.dashboard.conftest import PHONE, take_picture
from tests.dashboard.scenes import Scenes


class SlowModel:
    """Holds every question until it is told what to answer."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._held: list[Route] = []
        page.route("**/score", self._hold)

    def _hold(self, route: Route) -> None:
        self._held.append(route)

    def wait_for(self, question: Callable[[], None]) -> None:
        """Put a question, and see it on its way."""
        held = len(self._held)
        question()
        # Each call lets the browser's events in; a request is told of before its route is.
        assert wait_until(lambda: self._page.evaluate("true") and len(self._held) > held, 60)

    def answer(self, text: str) -> None:
        """Answer the oldest question."""
        said = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        body = f"data: {json.dumps(said)}\n\ndata: [DONE]\n\n"
        self._held.pop(0).fulfill(body=body, content_type="text/event-stream; charset=utf-8")


@pytest.fixture
def page(live_run: str, open_page: Callable[..., Page]) -> Page:
    """The page where the live model is talked with."""
    return open_page(f"/runs/{live_run}/chat")


def replies(page: Page):
    """What the model has said."""
    return page.locator(".turn.assistant:not(.waiting)")


def say(page: Page, text: str) -> Callable[[], None]:
    """Type a question and send it."""

    def send() -> None:
        page.get_by_label("Your message").fill(text)
        page.keyboard.press("Enter")

    return send


def test_a_conversation_takes_turns(scenes: Scenes, live_run: str, open_page: Callable[..., Page]) -> None:
    """Each question goes with all that was said; settings go with it; starting over forgets."""
    page = open_page(f"/runs/{live_run}/chat")
    page.locator(".suggestions button").first.click()
    expect(page.locator(".turn.assistant:not(.waiting)")).to_have_count(1)
    page.get_by_label("System message").fill("Be brief.")
    page.get_by_label("Your message").fill("And in one sentence?")
    with page.expect_request("**/score") as asked:
        page.keyboard.press("Enter")
    body = asked.value.post_data_json
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["max_new_tokens"] == 200
    assert body["do_sample"] is False
    expect(page.locator(".turn.assistant:not(.waiting)")).to_have_count(2)
    take_picture(page, "chat")
    page.get_by_role("link", name="Dataset report").click()
    page.get_by_role("link", name="Chat", exact=True).click()
    expect(page.locator(".turn")).to_have_count(4)
    page.get_by_role("button", name="Start over").click()
    expect(page.locator(".turn")).to_have_count(0)


def test_words_appear_as_the_model_says_them(scenes: Scenes, page: Page) -> None:
    """Before the reply is whole; then it is one turn like any other, and stopping leaves none."""
    scenes.pace(asdict(replace(INSTANT, name="slow words", token=0.3)))
    say(page, "How do I keep bread fresh?")()
    partial = page.locator(".turn.waiting")
    expect(partial).to_have_text(re.compile(r"^\w"))
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(replies(page)).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    expect(partial).to_have_count(0)
    scenes.pace("instant")
    page.get_by_role("button", name="Send").click()
    expect(replies(page)).to_have_count(1)


def test_a_question_that_fails_is_not_lost(
    scenes: Scenes, live_run: str, open_page: Callable[..., Page]
) -> None:
    """The model's own trouble is shown in words, and the question is back in the box."""
    scenes.fault(
        {"match": {"target": f"{live_run}/main"}, "container": {"status": 500, "reason": "out of memory"}}
    )
    page = open_page(f"/runs/{live_run}/chat")
    page.get_by_label("Your message").fill("Are you well?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".log .note.bad")).to_be_visible()
    expect(page.get_by_label("Your message")).to_have_value("Are you well?")
    scenes.no_faults()
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".turn.assistant:not(.waiting)")).to_have_count(1)
    expect(page.locator(".log .note.bad")).to_have_count(0)


def test_only_a_live_model_can_be_asked(rejected_run: str, open_page: Callable[..., Page]) -> None:
    """Where there is no endpoint, the page says so instead of failing."""
    page = open_page(f"/runs/{rejected_run}/chat")
    expect(page.locator(".card.empty")).to_contain_text("endpoint is")
    expect(page.get_by_label("Your message")).to_be_hidden()


def test_what_was_said_stays_when_the_endpoint_goes(
    scenes: Scenes, live_run: str, open_page: Callable[..., Page]
) -> None:
    """On a phone, where the box to write in is on the screen from the start; code has a button of its own."""
    page = open_page(f"/runs/{live_run}/chat", PHONE, permissions=["clipboard-read", "clipboard-write"])
    expect(page.get_by_label("Your message")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport()
    model = SlowModel(page)
    model.wait_for(say(page, "Show me"))
    model.answer("Like this:\n```python\nprint(1)\n```\n" + "and so on.\n" * 40)
    expect(replies(page).locator("pre")).to_have_text("print(1)")
    expect(page.get_by_label("Your message")).to_be_in_viewport()
    page.get_by_role("button", name="Copy the code").click()
    assert page.evaluate("navigator.clipboard.readText()") == "print(1)"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    run = scenes.run(live_run)
    page.route(f"**/api/runs/{live_run}", lambda route: route.fulfill(json={**run, "stage": "deleted"}))
    expect(page.locator(".note.warn")).to_contain_text("What was said stays here")
    expect(page.get_by_label("Your message")).to_be_hidden()
    expect(replies(page)).to_contain_text("and so on.")
    assert complaints(page) == []


def test_a_reply_finds_a_conversation_that_was_left(page: Page) -> None:
    """The model answers while another page is looked at: the reply is there afterwards."""
    model = SlowModel(page)
    model.wait_for(say(page, "Is anybody there?"))
    page.get_by_role("link", name="Dataset report").click()
    page.get_by_role("link", name="Chat", exact=True).click()
    expect(page.locator(".turn.waiting")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.get_by_role("link", name="Dataset report").click()
    model.answer("I am.")
    page.get_by_role("link", name="Chat", exact=True).click()
    expect(replies(page)).to_have_text("Model: I am.")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_stopping_gives_the_question_back(page: Page) -> None:
    """Nobody waits longer than they want to, and nothing has to be typed twice."""
    model = SlowModel(page)
    model.wait_for(say(page, "How long will this take?"))
    page.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".log .note.bad")).to_have_text("Stopped.")
    expect(page.get_by_label("Your message")).to_have_value("How long will this take?")
    expect(page.get_by_label("Your message")).to_be_focused()
    expect(page.locator(".turn")).to_have_count(0)


def test_starting_over_forgets_what_is_under_way(page: Page) -> None:
    """Neither its answer nor word of its end gets into the new conversation."""
    model = SlowModel(page)
    model.wait_for(say(page, "The first question"))
    page.get_by_role("button", name="Start over").click()
    expect(page.locator(".log > *")).to_have_count(1)
    expect(page.locator(".log")).to_contain_text("Write a message")
    model.wait_for(say(page, "The second question"))
    expect(page.locator(".turn.user")).to_have_text("You: The second question")
    expect(page.locator(".log .note.bad")).to_have_count(0)


def test_what_was_said_is_not_drawn_again(page: Page) -> None:
    """A log that is replaced would be read out from its start at every turn."""
    model = SlowModel(page)
    model.wait_for(say(page, "First"))
    page.locator(".turn.user").evaluate("turn => turn.dataset.seen = 'yes'")
    model.answer("One.")
    expect(replies(page)).to_have_text("Model: One.")
    expect(page.locator(".turn.user")).to_have_attribute("data-seen", "yes")


def test_a_suggestion_leaves_the_keyboard_in_the_message_box(page: Page) -> None:
    """The button that was pressed is gone; what one writes next goes to the model."""
    page.locator(".suggestions button").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your message")).to_be_focused()
    expect(replies(page)).to_have_count(1)


def test_a_conversation_goes_with_the_key(scenes: Scenes, page: Page) -> None:
    """Whoever gives their own key in the same tab does not read what somebody else said."""
    page.get_by_label("Your message").fill("Between you and me")
    page.keyboard.press("Enter")
    expect(replies(page)).to_have_count(1)
    page.get_by_role("button", name="Forget key").click()
    page.get_by_label("Key").fill(scenes.stack.function_key)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your message")).to_be_visible()
    expect(page.locator(".turn")).to_have_count(0)
