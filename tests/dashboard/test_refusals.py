"""What the page does when the app says no: it says so, offers what helps, and is whole again afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from azure.storage.blob import BlobClient
from playwright.sync_api import Page, Route, expect

from tests.dashboard.scenes import Scenes


def answers(page: Page, address: str, statuses: list[int]) -> None:
    """Have the app's next answers at an address be refusals, and its own ones after that."""
    left = iter(statuses)

    def answer(route: Route) -> None:
        status = next(left, None)
        if status is None:
            route.fallback()
        else:
            route.fulfill(status=status, json={"status": status, "detail": f"refused with {status}"})

    page.route(address, answer)


@pytest.fixture
def unreadable_run(scenes: Scenes) -> Iterator[str]:
    """A run whose record somebody has spoilt; it is mended afterwards."""
    run_id = scenes.live("spoilt-record", idle_minutes=0)
    connection = scenes.stack.blob_connection_string
    with BlobClient.from_connection_string(connection, "runs", f"{run_id}.json") as blob:
        kept, facts = blob.download_blob().readall(), blob.get_blob_properties().metadata
        blob.upload_blob(b"{", overwrite=True, metadata=facts)
        yield run_id
        blob.upload_blob(kept, overwrite=True, metadata=facts)


def test_the_list_comes_back_after_a_refusal(live_run: str, open_page: Callable[..., Page]) -> None:
    """The same data as before is drawn again: the refusal stood in its place."""
    page = open_page("/")
    row = page.get_by_role("link", name="support-chat")
    expect(row).to_be_visible()
    answers(page, "**/api/runs?*", [409])
    expect(page.get_by_role("alert")).to_have_text("refused with 409")
    expect(row).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_run_comes_back_after_a_refusal(live_run: str, open_page: Callable[..., Page]) -> None:
    """Its head, its actions and its page are there again."""
    page = open_page(f"/runs/{live_run}")
    expect(page.locator("h1")).to_contain_text("support-chat")
    answers(page, f"**/api/runs/{live_run}", [404])
    expect(page.get_by_role("heading", name="Run not found")).to_be_visible()
    expect(page.locator(".facts")).to_be_hidden()
    expect(page.locator("h1")).to_contain_text("support-chat")
    expect(page.get_by_role("button", name="Extend …")).to_be_visible()
    expect(page.locator(".facts")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("status", [408, 425, 429])
def test_a_refusal_of_the_moment_is_a_lost_connection(
    status: int, live_run: str, open_page: Callable[..., Page]
) -> None:
    """An app that is busy takes nothing off the page, and is asked again with patience."""
    page = open_page("/")
    row = page.get_by_role("link", name="support-chat")
    expect(row).to_be_visible()
    answers(page, "**/api/runs?*", [status])
    expect(page.locator("#connection")).to_have_text(f"refused with {status} Next try in 2 s.")
    expect(row).to_be_visible()
    expect(page.locator("#connection")).to_have_text("Connected")


def test_an_unreadable_record_can_be_retried(unreadable_run: str, open_page: Callable[..., Page]) -> None:
    """Nothing can be shown of it, but it can be had looked at again."""
    page = open_page(f"/runs/{unreadable_run}")
    expect(page.get_by_role("heading", name="This run cannot be shown")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("cannot be read")
    page.get_by_role("button", name="Retry now").click()
    with page.expect_response("**/retry") as asked:
        page.get_by_role("dialog").get_by_role("button", name="Retry now").click()
    assert asked.value.status == 202
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("address", ["/", "/runs/ft-some-0123456789", "/runs/ft-some-0123456789/report"])
def test_what_is_yet_to_be_drawn_gives_way_to_an_error(address: str, open_page: Callable[..., Page]) -> None:
    """Nobody looks at grey boxes while the app is down; what comes later takes the error's place."""
    page = open_page("/upload")
    page.route("**/api/**", lambda route: route.abort())
    page.evaluate("address => { location.hash = address }", address)
    expect(page.get_by_role("alert")).to_have_text("The app cannot be reached.")
    expect(page.locator("main .ghost:visible")).to_have_count(0)
    page.unroute("**/api/**")
    expect(page.get_by_role("alert").filter(has_text="cannot be reached")).to_have_count(0)


@pytest.mark.parametrize("page_of_run", ["__proto__", "constructor", "toString", "nothing"])
def test_a_page_of_a_run_that_there_is_not_is_its_first(
    page_of_run: str, live_run: str, open_page: Callable[..., Page]
) -> None:
    """Whatever the address spells, names of JavaScript's own among it."""
    page = open_page(f"/runs/{live_run}/{page_of_run}")
    expect(page.locator(".timeline")).to_be_visible()
    expect(page.get_by_role("link", name="Run", exact=True)).to_have_attribute("aria-current", "page")


def test_an_address_that_cannot_be_decoded_opens_the_list(
    live_run: str, open_page: Callable[..., Page]
) -> None:
    """Half an escape names no run."""
    page = open_page("/runs/%")
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="support-chat")).to_be_visible()
