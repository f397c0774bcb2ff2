"""What the pages show, in Chromium, of runs on the real stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from handlers.http.openapi.run_examples import RUN
from shared.domain.run.stages import Stage
from tests.app.builders import a_run
from tests.dashboard.accessibility import complaints
from tests.dashboard.conftest import PHONE, WIDE, take_picture
from tests.dashboard.scenes import Scenes, listed
from tests.dashboard.seeding import a_bad_end, seed

QUOTE = RUN["quote"]


def test_the_key_is_asked_for_once_and_stays_in_the_tab(
    scenes: Scenes, live_run: str, context_of: Callable[..., BrowserContext]
) -> None:
    """A wrong key is refused in words; the right one outlives a reload, and goes when it is told to."""
    page = context_of().new_page()
    page.goto(f"{scenes.stack.functions_url}/api/dashboard")
    page.get_by_label("Key").fill("not-the-key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The app refused this key")
    take_picture(page, "key-refused")
    page.get_by_label("Key").fill(scenes.stack.function_key)
    page.get_by_role("button", name="Show the runs").click()
    expect(page.get_by_role("link", name="support-chat")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="support-chat")).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    assert scenes.stack.function_key not in page.content() + page.url
    page.get_by_role("button", name="Forget key").click()
    expect(page.get_by_label("Key")).to_be_focused()
    page.reload()
    expect(page.get_by_label("Key")).to_be_visible()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_what_needs_a_person_comes_first_until_it_is_acknowledged(
    size: tuple[int, int],
    scenes: Scenes,
    live_run: str,
    suspended_run: str,
    open_page: Callable[..., Page],
) -> None:
    """Suspended and bad ends, then moving, then live, then ended; each with why, its model, cost and time."""
    name = f"bad-end-{size[0]}"
    seed(scenes, a_bad_end(f"ft-{name}-0123456789", name))
    page = open_page("/", size)
    rows = page.locator(".runs tbody tr")
    expect(rows.filter(has_text="sales-emails")).to_contain_text("the endpoint's state 'Paused' is unknown")
    live = rows.filter(has_text="support-chat")
    expect(live).to_contain_text(re.compile(r"23\sh\s5\d\smin|1\sd"))
    expect(live.locator(".model")).to_have_text(re.compile(r"^Phi-4 v\d+$"))
    expect(live.locator(".cost")).to_have_text(re.compile(r"^\d+\.\d\d\sUSD$"))
    bad = rows.filter(has_text=name)
    expect(bad.locator(".reason")).to_have_text("3 of 60 rows have a fault.")
    expect(bad.locator(".left")).to_have_text(re.compile(r"^ended 2\sh ago$"))
    names = rows.locator(".what a").all_inner_texts()
    assert max(names.index("sales-emails"), names.index(name)) < names.index("support-chat")
    take_picture(page, f"overview-{size[0]}")
    attention = page.locator("#tile-attention strong")
    before = int(attention.inner_text())
    bad.get_by_role("button", name="Acknowledge").focus()
    page.keyboard.press("Enter")
    expect(bad.get_by_role("button")).to_have_count(0)
    expect(attention).to_have_text(str(before - 1))
    names = rows.locator(".what a").all_inner_texts()
    assert names.index("support-chat") < names.index(name)


def test_an_upload_that_opens_no_run_is_named(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """Below the runs, with the reason and what to do about it, until it is deleted."""
    name = "<b>exports</b>/rows #1.csv"
    scenes.put(name, b"question,answer")
    page = open_page("/")
    named = page.locator(".ignored li").filter(has_text=name)
    expect(named).to_contain_text("The file is not JSON Lines. Convert and upload it with")
    scenes.remove(name)
    expect(named).to_have_count(0, timeout=40_000)


def test_what_a_row_says_can_be_selected(suspended_run: str, open_page: Callable[..., Page]) -> None:
    """A run's id is there to be copied, though the whole row leads to the run."""
    page = open_page("/")
    row = page.locator(".runs tbody tr").filter(has_text=suspended_run)
    for what, word in ((".id", "sales"), (".reason", "KeyError")):
        row.locator(what).dblclick(position={"x": 30, "y": 8})
        assert word in page.evaluate("getSelection().toString()")
        assert page.url.endswith("#/")
    row.locator(".age").click(force=True)  # the link lies over it
    expect(page.locator("h1")).to_contain_text("sales-emails")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_what_is_shown_of_the_list_stands_in_the_address(
    size: tuple[int, int], open_page: Callable[..., Page]
) -> None:
    """Tiles, words of any kind, and the order of any column: who gets the address sees the same."""
    cost = {"currency": "USD", "node_hours": 2, "since": None, "nodes": 0, "price_per_hour": None}
    entries = [
        listed("ft-a-0", "live", suspended="KeyError", needs_attention=True, cost={**cost, "amount": 9.5}),
        listed("ft-b-0", "live", cost={**cost, "amount": 80.0}),
        listed("ft-c-0", "failed", reason="UserError: CUDA out of memory", cost={**cost, "amount": 10.0}),
        listed("ft-d-0", "training"),
    ]
    for entry in entries:
        entry["expires_at"] = "2100-01-01T00:00:00Z"
    page = open_page("/upload")
    page.route("**/api/runs?*", lambda route: route.fulfill(json={"runs": entries, "next": None}))
    slots = {"in_use": 2, "limit": 4, "waiting": 1}
    page.route("**/api/slots", lambda route: route.fulfill(json={"training": slots, "endpoint": slots}))
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.evaluate("location.hash = '/'")
    shown = page.locator(".runs .what a")
    live = page.get_by_role("button", name=re.compile("^Live"))
    expect(live).to_contain_text("2next teardown in")
    expect(live).to_contain_text("2 of 4 endpoint slots in use, 1 waits")
    live.focus()
    page.keyboard.press("Enter")
    expect(shown).to_have_text(["ft-a-0", "ft-b-0"])
    expect(live).to_have_attribute("aria-pressed", "true")
    expect(live).to_be_focused()
    assert page.url.endswith("#/?show=live")
    live.click()
    expect(shown).to_have_count(4)
    if size == WIDE:
        page.get_by_role("button", name="Cost").click()
        expect(page.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    else:
        page.get_by_label("Sort by").select_option("Cost ↓")
    expect(shown).to_have_text(["ft-b-0", "ft-c-0", "ft-a-0", "ft-d-0"])
    page.get_by_label("Search for a dataset or a run").fill("FAILED memory")
    expect(shown).to_have_text(["ft-c-0"])
    assert page.url.endswith("#/?q=FAILED+memory&sort=cost&order=down")
    shown.first.click()
    page.get_by_role("link", name="← All runs").click()
    expect(shown).to_have_text(["ft-c-0"])
    expect(page.get_by_label("Search for a dataset or a run")).to_have_value("FAILED memory")
    page.get_by_label("Search for a dataset or a run").fill("nothing like it")
    expect(page.get_by_text('No runs match "nothing like it".')).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(shown).to_have_count(4)


def test_an_empty_store_says_how_to_begin(scenes: Scenes, open_page: Callable[..., Page], context_of) -> None:
    """The first thing that anybody sees tells what to do."""
    page = open_page("/")
    page.route("**/api/runs?*", lambda route: route.fulfill(json={"runs": [], "next": None}))
    page.reload()
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    take_picture(page, "empty")


def test_a_thousand_runs_are_listed_a_hundred_at_a_time(open_page: Callable[..., Page]) -> None:
    """Every page of the list is read, so that the most urgent run comes first wherever it is listed."""

    def entry(number: int, **facts: object) -> dict[str, object]:
        moments = dict.fromkeys(("opened_at", "entered_at"), "2026-01-01T00:00:00Z")
        told = {"dataset": f"set {number}", **moments, "stage": "deleted"}
        return listed(f"ft-many-{number:010}", **(told | facts))

    first = {"runs": [entry(number) for number in range(1000)], "next": "more"}
    last = {"runs": [entry(1000), entry(1001, stage="training", needs_attention=True)], "next": None}
    page = open_page("/")
    page.route(
        "**/api/runs?*", lambda route: route.fulfill(json=last if "cursor" in route.request.url else first)
    )
    page.reload()
    rows = page.locator(".runs tbody tr")
    expect(rows).to_have_count(100)
    expect(rows.first).to_contain_text("set 1001")
    page.get_by_role("button", name="Show more (902 left)").click()
    expect(rows).to_have_count(200)


def test_a_run_tells_its_story(scenes: Scenes, live_run: str, open_page: Callable[..., Page]) -> None:
    """Stages with their times, curves of both losses, the smoke test beside the truth, and the facts."""
    run = scenes.run(live_run)
    page = open_page(f"/runs/{live_run}")
    stages = page.locator(".timeline li:not(.ahead) b").all_inner_texts()
    assert [stage.lower() for stage in stages] == [entry["stage"] for entry in run["history"]]
    expect(page.locator(".timeline li[aria-current=step]")).to_contain_text("Live")
    expect(page.locator(".curve.train path")).to_have_attribute("d", re.compile(r"^M[\d.]+ [\d.]+L"))
    expect(page.locator(".curve.eval circle")).to_have_count(2)
    test = run["smoke_test"][0]
    pair = page.locator(".exchanges li").first
    expect(pair).to_contain_text(test["prompt"][-1]["content"])
    expect(pair.locator(".pair > div").nth(0)).to_contain_text(test["reply"].strip())
    expect(pair.locator(".pair > div").nth(1)).to_contain_text(test["expected"])
    expect(page.locator(".facts")).to_contain_text("80 train, 10 validation, 10 test")
    last, mean = run["metrics"]["history"]["loss"][-1]["value"], run["metrics"]["train_loss"]
    expect(page.locator(".legend .train")).to_have_text(f"Training {last:#.4g} last")
    expect(page.locator(".facts")).to_contain_text(f"{mean:#.4g}, mean of all steps")
    take_picture(page, "run")


def test_curves_are_read_with_keys_and_as_a_table(
    scenes: Scenes, live_run: str, open_page: Callable[..., Page]
) -> None:
    """The same numbers for the pointer, the keyboard, and a screen reader."""
    losses = scenes.run(live_run)["metrics"]["history"]["loss"]
    page = open_page(f"/runs/{live_run}")
    curve = page.get_by_role("slider", name="Loss at training step")
    curve.focus()
    page.keyboard.press("Home")
    expect(curve).to_have_attribute("aria-valuenow", str(losses[0]["step"]))
    expect(curve).to_have_attribute("aria-valuetext", re.compile(f"Training {losses[0]['value']:#.4g}"))
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tip")).to_contain_text(f"Step {losses[1]['step']}")
    curve.hover()
    expect(page.locator(".tip")).to_be_visible()
    page.get_by_text("As a table").click()
    table = page.get_by_role("region", name="Loss by step")
    expect(table.locator("tbody tr").first).to_contain_text(f"{losses[0]['value']:#.4g}")


def test_the_report_names_every_fault_with_its_line(
    scenes: Scenes, rejected_run: str, open_page: Callable[..., Page]
) -> None:
    """The run's page leads to it; codes, messages, locations and excerpts are the report's own."""
    report = scenes.api.get(f"/api/runs/{rejected_run}/report").json()
    page = open_page(f"/runs/{rejected_run}")
    expect(page.locator(".note.bad")).to_contain_text("DatasetRejected")
    page.get_by_role("link", name="All findings, by line").click()
    expect(page.get_by_role("heading", name="Rejected", exact=True)).to_be_visible()
    expect(page.locator(".finding")).to_have_count(len(report["counts"]))
    first = report["issues"][0]
    expect(page.locator(f"#finding-{first['code']}")).to_contain_text(f"{first['file']}:{first['line']}")
    expect(page.locator(".bars svg")).to_have_count(3)
    closed = page.locator(".finding:not([open]) > summary").first
    turned = "summary => getComputedStyle(summary, '::before').rotate"
    before = closed.evaluate(turned)
    closed.click()
    assert page.locator(".finding[open] > summary").last.evaluate(turned) != before
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as a page").click()
    assert download.value.suggested_filename == f"{rejected_run}-report.html"
    assert b"<!doctype html>" in download.value.path().read_bytes()[:20]
    take_picture(page, "report")


def test_errors_are_shown_in_the_services_words(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """What Azure ML said is what a person reads."""
    page = open_page(f"/runs/{scenes.failed('legal-summaries')}")
    expect(page.get_by_role("heading", name="Training failed")).to_be_visible()
    expect(page.locator(".note.bad")).to_contain_text("CUDA out of memory. Tried to allocate 1.17 GiB")
    expect(page.locator(".column")).to_be_hidden()  # neither curves nor an evaluation: no empty cards
    expect(page.locator(".timeline li").last).to_contain_text("Failed")
    take_picture(page, "failed")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_run_shows_its_options_its_job_and_its_kin(
    size: tuple[int, int], scenes: Scenes, open_page: Callable[..., Page]
) -> None:
    """What run.json says beside what is used; the job in words; the runs before and after."""
    dataset = f"kin-{size[0]}"
    now = datetime.now(UTC)
    given = {"lifetime_hours": 8, "parameters": {"num_train_epochs": 3}}
    changes = {"dataset": dataset, "given_options": given, "end_reason": "requested"}
    days_ago = now - timedelta(days=2)
    ended = a_run(Stage.DELETED, now=days_ago, run_id=f"ft-{dataset}-0000000001", **changes)
    seed(scenes, ended)
    seed(scenes, a_bad_end(f"ft-{dataset}-0000000002", dataset))
    page = open_page(f"/runs/{ended.run_id}", size)
    expect(page.locator(".lead")).to_have_text("Endpoint deleted. Nothing is running. Deleted on request.")
    later = page.get_by_role("link", name=f"ft-{dataset}-0000000002")
    expect(later).to_be_visible()
    page.get_by_text("Options and parameters").click()
    row = page.locator(".options tr").filter(has_text="lifetime_hours")
    expect(row.locator("td")).to_have_text(["8", "24"])
    row = page.locator(".options tr").filter(has_text="num_train_epochs")
    expect(row.locator("td")).to_have_text(["3", "3"])
    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    later.click()
    expect(page.get_by_role("heading", name="The dataset cannot be trained on")).to_be_visible()
    expect(page.get_by_role("link", name=ended.run_id)).to_be_visible()


def test_a_job_under_way_says_how_far_it_is(training_run: str, open_page: Callable[..., Page]) -> None:
    """In words, with what earlier jobs took; the cards of what is to come are not there yet."""
    page = open_page("/upload")
    progress: list[dict[str, Any] | None] = [None]

    def told(route: Route) -> None:
        run = route.fetch().json()
        estimate = {"low": 1.5, "likely": 2.0, "high": 3.0, "runs": 4}
        run["quote"] = {**(run["quote"] or QUOTE), "training_hours": estimate}
        run["progress"] = progress[-1]
        route.fulfill(json=run)

    page.route(f"**/api/runs/{training_run}", told)
    page.evaluate("address => { location.hash = address }", f"/runs/{training_run}")
    expect(page.locator("#job-state")).to_have_text(re.compile("^(The job is|Waiting for nodes)"))
    card = page.locator(".card").filter(has=page.locator("#job-state"))
    expect(card).to_contain_text(re.compile(r"2\sh \(1\sh\s30\smin to 3\sh\), by 4 earlier runs"))
    now = datetime.now(UTC)
    points = [{"step": step, "value": 3 - step / 100} for step in (10, 20, 30)]
    known: dict[str, Any] = {
        "read_at": (now - timedelta(seconds=90)).isoformat(),
        "began": (now - timedelta(hours=1)).isoformat(),
        "ends_at": (now + timedelta(minutes=45, seconds=30)).isoformat(),
        "step": 30,
        "steps": 120,
        "epoch": 0.5,
        "epochs": 2.0,
        "train_loss": 2.7,
        "eval_loss": None,
        "train_losses": points,
        "eval_losses": [],
        "diverged": None,
    }
    progress.append(known)
    expect(card.get_by_label("How far training is")).to_have_attribute("value", "30")
    expect(card).to_contain_text("30 of 120")
    expect(card).to_contain_text(re.compile(r"Ends about45\smin from now"))
    expect(card.get_by_role("slider", name="Loss at training step")).to_be_visible()
    assert complaints(page) == []
    expect(page.get_by_role("heading", name="Loss")).to_have_count(0)
    expect(page.get_by_role("heading", name="Evaluation")).to_have_count(0)


def test_what_is_wrong_with_the_settings_comes_first_and_whole(open_page: Callable[..., Page]) -> None:
    """Each on its line, however many there are; gone when the app is well."""
    page = open_page("/")
    wrong = "settings: BASE_MODEL is missing; MAX_EPOCHS must be a number; not 'many'"
    answer = {"status": 503, "code": "Settings", "detail": wrong}
    page.route("**/api/runs?*", lambda route: route.fulfill(status=503, json=answer))
    problems = page.locator("#problem li")
    expect(problems).to_have_text(["BASE_MODEL is missing", "MAX_EPOCHS must be a number; not 'many'"])
    page.unroute("**/api/runs?*")
    expect(problems).to_have_count(0)


def test_an_unknown_run_is_said_to_be_unknown(open_page: Callable[..., Page]) -> None:
    """The address may be old, or mistyped."""
    page = open_page("/runs/ft-nothing-0123456789")
    expect(page.get_by_role("heading", name="Run not found")).to_be_visible()


def test_texts_of_strangers_stay_texts(scenes: Scenes, open_page: Callable[..., Page]) -> None:
    """A dataset's name, or a service's message, may hold markup; none of it becomes part of the page."""
    attack = "<img src=x onerror=\"document.title='taken'\">"
    page = open_page("/")
    told = {"dataset": attack, "suspended": attack, "base_model": attack, "needs_attention": True}
    entry = listed("ft-x-0123456789", "training", **told)
    page.route("**/api/runs?*", lambda route: route.fulfill(json={"runs": [entry], "next": None}))
    page.reload()
    expect(page.get_by_role("link", name=attack)).to_be_visible()
    expect(page.locator(".reason")).to_have_text(attack)
    assert page.locator("main img").count() == 0
    assert "taken" not in page.title()
