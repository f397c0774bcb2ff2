"""HTTP: bodies, errors, lists and views, whatever callers send."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.http.errors import STATUSES, problem_of
from handlers.http.list_runs import list_runs
from handlers.http.requests import BODY_LIMIT_BYTES, read_object
from handlers.http.responses import Response
from handlers.http.route import AuthScheme
from handlers.http.routes import ROUTES
from handlers.http.run_views import RunView, run_view
from handlers.http.show_run import show_report, show_run
from shared import config
from shared.domain import errors
from shared.domain.errors import (
    FinetuneError,
    ModelStartingError,
    RequestError,
    ScoringError,
    TransientServiceError,
    UnknownRunError,
)
from shared.domain.run.cost import Prices, RunCost
from shared.domain.run.parts import JobRecord
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.workflow.save_progress import update_run
from tests.app.builders import NOW, OPTIONS, RUN_ID, a_run
from tests.app.edge import BY_NAME, app_of, ask, respond, respond_async
from tests.app.fakes import World
from tests.app.worlds import SETTINGS

OWN_STATUS = {ModelStartingError, RequestError, ScoringError}


def every_error() -> set[type[FinetuneError]]:
    """All errors that the app defines."""
    found = {
        kind
        for module in (errors, config)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, FinetuneError)
    }
    return found - {FinetuneError}


def test_every_error_has_a_status() -> None:
    """None is left to become a 500: it is in the table, or brings its own status."""
    assert every_error() == set(STATUSES) | OWN_STATUS
    assert all(400 <= status < 600 and status != 500 for status in STATUSES.values())


@pytest.mark.parametrize("kind", sorted(every_error() - OWN_STATUS, key=str))
def test_errors_are_problem_documents(kind: type[FinetuneError]) -> None:
    """RFC 9457, with the code and the message, and when to come back where that helps."""
    problem = respond(lambda: _raise(kind("what to change")))
    body = json.loads(problem.body)
    assert problem.content_type == "application/problem+json"
    assert (body["status"], body["detail"]) == (problem.status, "what to change")
    assert body["code"] == kind.__name__.removesuffix("Error")
    assert ("Retry-After" in problem.headers) is (problem.status == 503)


def _raise(fault: BaseException) -> Any:
    raise fault


async def test_what_was_not_foreseen_is_a_problem_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not a page of the host's: programs read the same form as ever, and nothing of the inside."""

    async def fail() -> Response:
        raise KeyError("the inside")

    for answered in (await respond_async(fail), problem_of(KeyError("the inside"))):
        assert (answered.status, answered.content_type) == (500, "application/problem+json")
        assert json.loads(answered.body)["code"] == "InternalError"
        assert b"inside" not in answered.body
    assert "KeyError: 'the inside'" in caplog.text


@pytest.mark.parametrize(("asked", "header"), [(None, "5"), (0.0, "0"), (1.5, "2"), (12.0, "12")])
def test_retry_after_is_whole_seconds(asked: float | None, header: str) -> None:
    """RFC 9110 knows no fractions."""
    assert problem_of(TransientServiceError("busy", retry_after=asked)).headers["Retry-After"] == header


async def test_an_endpoints_error_keeps_its_traces() -> None:
    """The upstream status, request id and pause reach the caller."""
    fault = ScoringError(
        429, "too many", code="TooManyRequests", upstream_status=429, request_id="abc", retry_after=7.0
    )

    async def handle() -> Response:
        raise fault

    problem = await respond_async(handle)
    body = json.loads(problem.body)
    assert (problem.status, body["upstream_status"], body["upstream_request_id"]) == (429, 429, "abc")
    assert problem.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b'{"a": "\\ud800"}', 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b'{"a": 1' + b"0" * 9_000 + b"}", 400),
        (b'{"a": 1e999}', 400),
        (b" " * (BODY_LIMIT_BYTES + 1), 413),
    ],
)
def test_a_body_that_cannot_be_used_is_the_callers_fault(body: bytes, status: int) -> None:
    """Malformed, nested without end, or too large: never the server's error."""
    with pytest.raises(RequestError) as caught:
        read_object(body)
    assert caught.value.status == status


@given(st.binary(max_size=300))
def test_any_body_is_an_object_or_refused(body: bytes) -> None:
    """Nothing else can come out."""
    try:
        assert isinstance(read_object(body), dict)
    except RequestError as fault:
        assert fault.status == 400


def filled() -> World:
    """A world with a run of each stage, one of them suspended and one unreadable."""
    world = World()
    for number, stage in enumerate(Stage):
        world.runs.create(a_run(stage, run_id=f"ft-a-{number:010x}", dataset=f"d{number % 2}"))
    world.runs.suspend("ft-a-0000000002", "RecursionError: <script>", until=NOW + timedelta(hours=1))
    return world


def listed(world: World, **query: str) -> dict[str, Any]:
    """A page of the list."""
    shown: dict[str, Any] = json.loads(list_runs(query, world.services).body)
    return shown


def test_the_list_shows_every_run() -> None:
    """In order, with stage and dates, and who needs a person."""
    world = filled()
    page = listed(world)
    assert [run["run_id"] for run in page["runs"]] == sorted(world.runs.blobs)
    assert page["next"] is None
    (suspended,) = (run for run in page["runs"] if run["suspended"])
    assert suspended["needs_attention"]
    assert suspended["stage"] == "training"


def test_the_list_is_filtered_and_paged() -> None:
    """By stage, dataset and need; pages of any size lose and repeat nothing under a filter."""
    world = filled()
    assert [run["stage"] for run in listed(world, stage="live")["runs"]] == ["live"]
    wanting = [run["stage"] for run in listed(world, attention="true")["runs"]]
    assert wanting == ["training", "rejected", "failed"]
    odd = [run["run_id"] for run in listed(world, dataset="d1")["runs"]]
    assert len(odd) == len(Stage) // 2
    for limit in ("1", "2", "3", "1000"):
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = listed(world, dataset="d1", limit=limit, **cursor)
            assert len(page["runs"]) <= int(limit)
            found += [run["run_id"] for run in page["runs"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert found == odd


def test_a_filter_looks_through_whole_pages_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few are asked for, and however its pages are cut, none is lost or repeated."""
    world = World()
    for number in range(60):
        stage = Stage.LIVE if number % 20 == 19 else Stage.DELETED
        world.runs.create(a_run(stage, run_id=f"ft-a-{number:010x}"))
    assert len(listed(world, stage="live", limit="1")["runs"]) == 1
    monkeypatch.setattr("handlers.http.list_runs.SEARCHED_PAGE", 45)
    found, cursor = [], ""
    while cursor is not None:
        page = listed(world, stage="live", limit="1", cursor=cursor)
        found += [run["run_id"] for run in page["runs"]]
        cursor = page["next"]
    assert found == [f"ft-a-{number:010x}" for number in (19, 39, 59)]


def test_a_list_that_says_the_same_is_not_sent_again() -> None:
    """Its ETag is good until a run of it changes, or needs a person."""
    world = filled()
    etag = list_runs({}, world.services).headers["ETag"]
    assert etag.startswith('W/"')
    world.now += timedelta(minutes=5)
    again = list_runs({}, world.services, if_none_match=etag)
    assert (again.status, again.body) == (304, b"")
    assert list_runs({"stage": "live"}, world.services, if_none_match=etag).status == 200
    world.now += timedelta(hours=2)
    assert list_runs({}, world.services, if_none_match=etag).status == 200


def test_a_dataset_may_be_called_null() -> None:
    """In a query that is a name like any other, and no stage."""
    world = World()
    world.runs.create(a_run(Stage.LIVE, dataset="null"))
    world.runs.create(a_run(Stage.LIVE, run_id="ft-other-0123456789", dataset="other"))
    assert [run["dataset"] for run in listed(world, dataset="null")["runs"]] == ["null"]
    assert respond(lambda: list_runs({"stage": "null"}, world.services)).status == 400


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "x"},
        {"limit": "1.5"},
        {"limit": "٣"},
        {"limit": "9" * 5000},
        {"stage": "unheard-of"},
        {"stage": ""},
        {"cursor": "x"},
        {"cursor": "é"},
        {"cursor": "~x"},
        {"cursor": "x~ft-a-0123456789"},
    ],
)
def test_a_query_that_means_nothing_is_400(query: dict[str, str]) -> None:
    """With the reason, and never a 500."""
    assert respond(lambda: list_runs(query, filled().services)).status == 400


@pytest.mark.parametrize("stage", [Stage.RECEIVED, Stage.LIVE, Stage.DELETED])
def test_a_run_is_shown_in_every_stage(stage: Stage) -> None:
    """The view is complete JSON, with what is left of an endpoint's life and without what is internal."""
    world = World()
    world.runs.create(a_run(stage))
    shown = show_run(RUN_ID, if_none_match=None, services=world.services)
    view = json.loads(shown.body)
    assert (shown.status, view["run_id"], view["stage"]) == (200, RUN_ID, stage.value)
    assert not {"requests", "schema_version", "claimed", "smoke_sample"} & set(view)
    assert [entry["stage"] for entry in view["history"]][-1] == stage.value
    if stage is Stage.LIVE:
        assert view["endpoint"]["seconds_left"] == 3600
        assert view["smoke_test"][0]["reply"] == "Hey!"
    elif view["endpoint"]:
        assert (view["endpoint"]["seconds_left"] is None) is stage.at_rest


def test_an_unchanged_run_is_not_sent_again() -> None:
    """The ETag that was given is good until the record changes."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    etag = show_run(RUN_ID, if_none_match=None, services=world.services).headers["ETag"]
    for sent in (etag, f'"old", {etag}'):
        again = show_run(RUN_ID, if_none_match=sent, services=world.services)
        assert (again.status, again.body) == (304, b"")
    world.now += timedelta(minutes=5)
    assert show_run(RUN_ID, if_none_match=etag, services=world.services).status == 304
    update_run(world.runs, RUN_ID, lambda run: msgspec.structs.replace(run, due=NOW + timedelta(hours=1)))
    assert show_run(RUN_ID, if_none_match=etag, services=world.services).status == 200


def test_a_copy_is_old_when_what_is_shown_is_not_what_it_says() -> None:
    """Prices, suspending and a teardown that has taken too long show without a change of the record."""
    world = World()
    world.runs.create(a_run(Stage.DELETING))
    etag = show_run(RUN_ID, if_none_match=None, services=world.services).headers["ETag"]
    assert etag.startswith('W/"')
    priced = Prices({OPTIONS.instance_type: 4.5})
    assert show_run(RUN_ID, if_none_match=etag, services=world.services, prices=priced).status == 200
    world.now += timedelta(hours=2)
    assert show_run(RUN_ID, if_none_match=etag, services=world.services).status == 200


def test_a_live_run_says_how_far_it_may_be_extended() -> None:
    """From when it went live, so that extensions do not move it."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    days = {"longest_lifetime": timedelta(days=2)}
    shown = json.loads(show_run(RUN_ID, if_none_match=None, services=world.services, **days).body)
    assert shown["endpoint"]["latest_end_at"] == "2026-03-03T12:00:00Z"


def test_a_run_says_whether_it_needs_a_person() -> None:
    """As the list does, which also shows the runs whose record cannot be read."""
    world = World()
    world.runs.create(a_run(Stage.TRAINING))

    def shown() -> tuple[str | None, bool]:
        view = json.loads(show_run(RUN_ID, if_none_match=None, services=world.services).body)
        return view["suspended"], view["needs_attention"]

    assert shown() == (None, False)
    etag = show_run(RUN_ID, if_none_match=None, services=world.services).headers["ETag"]
    world.runs.blobs[RUN_ID].metadata["suspended"] = "out of quota"
    assert shown() == ("out of quota", True)
    assert show_run(RUN_ID, if_none_match=etag, services=world.services).status == 200


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("TEXT/HTML", True),
        ("application/json, text/html", False),
        (";;;,,,", False),
    ],
)
def test_a_report_comes_in_the_form_that_is_asked_for(accept: str | None, html: bool) -> None:
    """Browsers get the page, programs the JSON."""
    world = World()
    world.runs.create(a_run(Stage.VALIDATED))
    with pytest.raises(RequestError, match="no validation report yet"):
        show_report(RUN_ID, accept=accept, services=world.services)
    world.reports.save(RUN_ID, json=b"{}", html="<p>")
    shown = show_report(RUN_ID, accept=accept, services=world.services)
    assert shown.body == (b"<p>" if html else b"{}")
    assert shown.content_type.startswith("text/html" if html else "application/json")
    assert shown.headers["Vary"] == "Accept"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in shown.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize("run_id", [RUN_ID, "../reports/x"])
def test_unknown_runs_are_404(run_id: str) -> None:
    """For the run and for its report, however it is spelled."""
    services = World().services
    with pytest.raises(UnknownRunError):
        show_run(run_id, if_none_match=None, services=services)
    with pytest.raises(UnknownRunError):
        show_report(run_id, accept=None, services=services)


async def test_health_tells_whether_the_app_is_configured() -> None:
    """200 or 503; a service that is away is no reason of the settings, and answers 503, too."""
    world = World()
    health = BY_NAME["health"]
    assert (await ask(health, lambda: app_of(world, SETTINGS))).status == 200
    assert (await ask(health, lambda: _raise(TransientServiceError("away")))).status == 503


@pytest.mark.parametrize("name", [route.function for route in ROUTES if route.auth is not AuthScheme.HOST])
async def test_while_the_app_is_not_configured_only_the_log_says_why(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Routes that everybody can call name no setting, in whichever form they answer."""
    unset = config.SettingsError("settings: BASE_MODEL: is missing")
    answered = await ask(BY_NAME[name], lambda: _raise(unset), body=b"{}")
    alike = {"dashboard": 200, "openapi": 200, "home": 302, "no_completions": 404, "no_embeddings": 404}
    if name in alike:
        assert answered.status == alike[name]
        return
    assert (answered.status, "Retry-After" in answered.headers) == (503, True)
    assert b"BASE_MODEL" not in answered.body
    assert b"not available" in answered.body
    assert "BASE_MODEL: is missing" in caplog.text


async def test_callers_with_a_function_key_are_told_which_settings_are_missing() -> None:
    """The host has checked their key."""
    unset = config.SettingsError("settings: BASE_MODEL: is missing")
    answered = await ask(BY_NAME["list_runs"], lambda: _raise(unset))
    assert (answered.status, json.loads(answered.body)["detail"]) == (503, unset.message)


@pytest.mark.parametrize("name", ["list_runs", "get_run", "get_report", "cancel_run", "score"])
async def test_no_cache_keeps_what_is_of_a_run(name: str) -> None:
    """Whatever is answered, also an error."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    world.reports.save(RUN_ID, json=b"{}", html="<p>")
    app = app_of(world, SETTINGS)
    path = {"id": RUN_ID, "endpoint": RUN_ID}
    body = b'{"messages": [{"role": "user", "content": "Hello?"}]}'
    answered = await ask(BY_NAME[name], lambda: app, path=path, body=body)
    assert (answered.status < 300, answered.headers["Cache-Control"]) == (True, "no-store")
    path = {"id": "ft-nobody-0123456789", "endpoint": "ft-nobody-0123456789"}
    refused = await ask(BY_NAME[name], lambda: app, path=path, body=body)
    assert refused.headers["Cache-Control"] == "no-store"


def test_a_new_field_of_a_record_is_not_published() -> None:
    """Nowhere in a run: each part that is shown has a type of its own that lists what is public."""
    shown = {kind for kind in _structs(RunView) if kind.__module__.startswith("shared.domain.run.")}
    assert shown == {RunCost}, "a record's type is shown as it is"

    class NewRun(Run, frozen=True, kw_only=True):
        secret: str = "inside"

    class NewJob(JobRecord, frozen=True, kw_only=True):
        secret: str = "inside"

    run = a_run(Stage.LIVE)
    fields = {name: getattr(run, name) for name in run.__struct_fields__}
    renewed = NewRun(**fields | {"job": NewJob(name="job", status="Completed")})
    view = msgspec.json.encode(run_view(renewed, NOW))
    assert b"Completed" in view
    assert b"inside" not in view


def _structs(kind: Any) -> set[type[msgspec.Struct]]:
    """Every struct that a type is made of."""
    found: set[type[msgspec.Struct]] = set()

    def walk(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls not in found:
                found.add(info.cls)
                for each in info.fields:
                    walk(each.type)
        elif isinstance(info, msgspec.inspect.UnionType):
            for each in info.types:
                walk(each)
        else:
            for name in ("type", "item_type", "value_type"):
                if hasattr(info, name):
                    walk(getattr(info, name))

    walk(msgspec.inspect.type_info(kind))
    return found
