"""Damaged records: whatever a hand or a disk made of them, they are read, or said to be corrupt."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.events.advance_message import MAX_DELIVERIES, handle_advance_message
from handlers.http.list_runs import list_runs
from handlers.http.request_changes import cancel_run, delete_endpoint, extend_endpoint, retry_run
from handlers.http.responses import Response
from handlers.http.run_views import run_view
from handlers.http.show_run import show_run
from handlers.timers.reconcile_resources import reconcile_resources
from handlers.timers.schedule_due_runs import schedule_due_runs
from shared.domain.errors import CorruptRunError, FinetuneError
from shared.domain.limits import Limits
from shared.domain.run.index_metadata import to_metadata
from shared.domain.run.migrations import MIGRATIONS
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import DeploymentStatus, EndpointStatus, JobStatus, Provisioning
from shared.domain.run.parts import Requests, SourceFile, TrainingPlan
from shared.domain.run.record import read_record
from shared.domain.run.run import SCHEMA_VERSION, Run
from shared.domain.run.stages import Stage
from shared.ports import Services
from tests.app.builders import NOW, PLAIN, RUN_ID, a_run
from tests.app.edge import respond
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, rows

RECORDS = {stage: msgspec.to_builtins(a_run(stage)) for stage in Stage}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


LEADING_OUT = (
    "../../../../otherWs/jobs/x",
    "../../otherWs/onlineEndpoints/x",
    "..",
    "ft-other-0123456789",
    "a/b/train.jsonl",
    "../train.jsonl",
    "x.jsonl/../../runs/secret.jsonl",
    "a\\..\\b.jsonl",
    "support/../train.jsonl",
    "gpu-cluster?x=1",
    "support.jsonl",
    "support/train.jsonl",
)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Stage, bytes]:
    """A record of some stage with fields from another stage's, removed or overwritten, names not least."""
    stage = draw(st.sampled_from(Stage))
    record: dict[str, Any] = copy.deepcopy(RECORDS[stage])
    other = RECORDS[draw(st.sampled_from(Stage))]
    for name in draw(st.lists(st.sampled_from(sorted(record)), max_size=3)):
        match draw(st.sampled_from(["other", "gone", "garbage"])):
            case "other":
                record[name] = copy.deepcopy(other[name])
            case "gone":
                record.pop(name, None)
            case _:
                record[name] = draw(values)
    for way in draw(st.lists(st.sampled_from(NAMES), max_size=2)):
        _put(record, way, draw(st.sampled_from(LEADING_OUT) | values))
    for way in draw(st.lists(st.sampled_from(TIMES), max_size=2)):
        _put(record, way, draw(st.sampled_from(EXTREME_TIMES)))
    return stage, msgspec.json.encode(record)


NAMES: tuple[tuple[str | int, ...], ...] = (
    ("run_id",),
    ("source", "files", 0, "path"),
    ("source", "container"),
    ("plan", "compute"),
    ("plan", "compute_size"),
    ("plan", "component_version"),
    ("options", "compute"),
    ("options", "base_model"),
)
"""Fields of a record that become parts of addresses."""


TIMES: tuple[tuple[str | int, ...], ...] = (
    ("due",),
    ("last_used",),
    ("faulty_since",),
    ("job_submitted_at",),
    ("compute_requested_at",),
    ("history", 0, "at"),
    ("history", -1, "at"),
    ("error", "at"),
    ("last_fault", "at"),
    ("endpoint", "live_since"),
    ("endpoint", "expires_at"),
    ("requests", "extended_to"),
    ("requests", "cancel_at"),
    ("requests", "retry_at"),
)

EXTREME_TIMES = (
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:00",
    "1999-12-31T23:59:59Z",
    "2201-01-01T00:00:00Z",
    "2000-01-01T00:00:00+23:59",
    "2200-12-31T23:59:59-23:59",
)
"""Those of the calendar's ends, and those just outside and inside of what is plausible."""


def _put(record: Any, way: tuple[str | int, ...], value: Any) -> None:
    for step in way[:-1]:
        try:
            record = record[step]
        except (TypeError, LookupError):
            return
    if isinstance(record, dict):
        record[way[-1]] = value


class Watched:
    """A port whose calls are noted by what names they are given."""

    def __init__(self, port: Any, names: list[str]) -> None:
        self._port = port
        self._names = names

    def __getattr__(self, call: str) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            for each in args:
                match each:
                    case str():
                        self._names.append(each)
                    case SourceFile():
                        self._names.append(each.path)
                    case Run():
                        self._names.append(each.run_id)
                    case TrainingPlan():
                        self._names += [each.compute, each.compute_size, each.component_version]
            return getattr(self._port, call)(*args, **kwargs)

        return noted


def watched(world: World, names: list[str]) -> Services:
    """The world's services, noting the names that reach storage and Azure ML."""
    storage = ("runs", "run_lock", "content_index", "slots", "uploads", "datasets", "reports")
    azure_ml = ("registry", "workspace", "training", "metrics", "endpoints")
    services = world.services
    return replace(
        services, **{port: Watched(getattr(services, port), names) for port in (*storage, *azure_ml)}
    )


def stored(stage: Stage, body: bytes) -> World:
    """A world in which a run of that stage has what it would have, and its record was damaged."""
    world = World()
    world.uploads.put("support.jsonl", rows())
    world.runs.create(a_run(stage))
    world.runs.corrupt(RUN_ID, body)
    if stage is Stage.TRAINING:
        world.cloud.jobs[RUN_ID] = JobStatus("Running")
    elif Stage.TRAINING in (entry.stage for entry in a_run(stage).history):
        world.cloud.jobs[RUN_ID] = JobStatus("Completed")
    if stage in {Stage.DEPLOYING, Stage.LIVE, Stage.DELETING}:
        world.cloud.create(RUN_ID, auth_mode="aad_token", tags={RUN_TAG: RUN_ID})
        world.cloud.deploy(
            RUN_ID, PLAIN, environment_id=None, model_id="m", instance_type="s", instance_count=1
        )
        world.cloud.begun.clear()
    world.cloud.slow = True
    return world


@given(damaged())
def test_what_can_be_read_can_be_shown_and_indexed(case: tuple[Stage, bytes]) -> None:
    """A record that is read has all that views and index need: its history, its files, times with zones."""
    try:
        run = read_record(RUN_ID, case[1])
    except CorruptRunError:
        return
    msgspec.json.encode(run_view(run, NOW))
    to_metadata(run)


@given(damaged())
def test_a_damaged_record_never_spends_money_unnoticed(case: tuple[Stage, bytes]) -> None:
    """It is advanced, said to be corrupt, or fails loudly; where it ends, what it had is gone."""
    stage, body = case
    world = stored(stage, body)
    with suppress(FinetuneError, AssertionError, ValueError):
        handle_advance_message(RUN_ID, delivery=1, settings=SETTINGS, services=world.services)
    assert {name for call, name in world.cloud.begun if call != "create_compute"} <= {RUN_ID}
    try:
        before, after = read_record(RUN_ID, body), world.runs.load(RUN_ID).run
    except CorruptRunError:
        assert world.cloud.begun == []
        return
    if before.billable and after.stage.terminal and not before.stage.terminal:
        assert world.cloud.seen == {}
        assert all(job.state.over for job in world.cloud.jobs.values())


@given(damaged(), st.booleans())
def test_no_damaged_record_is_a_fault_of_the_apps_own(case: tuple[Stage, bytes], reconcile: bool) -> None:
    """To callers and timers alike: an answer under 500, or one that says that the record is corrupt."""
    world = stored(*case)
    services = world.services
    if reconcile:
        reconcile_resources(settings=SETTINGS, services=services)
    schedule_due_runs(services)
    calls: tuple[Callable[[], Response], ...] = (
        lambda: list_runs({}, services),
        lambda: show_run(RUN_ID, if_none_match=None, services=services),
        lambda: extend_endpoint(RUN_ID, {"hours": 1}, limits=Limits(), services=services),
        lambda: retry_run(RUN_ID, services),
        lambda: cancel_run(RUN_ID, services),
        lambda: delete_endpoint(RUN_ID, services),
    )
    for call in calls:
        answered = respond(call)
        assert answered.status < 500, answered.body


@pytest.mark.parametrize(
    ("way", "time"),
    [*((way, EXTREME_TIMES[0]) for way in TIMES), *((("due",), time) for time in EXTREME_TIMES[1:6])],
)
def test_a_record_of_times_that_no_run_has_is_corrupt(way: tuple[str | int, ...], time: str) -> None:
    """It is shown and acted on by nobody; sums with such a time, even a change of zone, would overflow."""
    failure = {"code": "x", "message": "x", "stage": "live", "at": NOW}
    record = msgspec.to_builtins(a_run(Stage.LIVE)) | {"error": failure, "last_fault": failure}
    record = msgspec.json.decode(msgspec.json.encode(record))
    read_record(RUN_ID, msgspec.json.encode(record))
    _put(record, way, time)
    assert time in str(record)
    with pytest.raises(CorruptRunError):
        read_record(RUN_ID, msgspec.json.encode(record))


@pytest.mark.parametrize("name", ["due", "opened", "entered", "expires", "suspended_until"])
def test_such_times_in_the_index_are_unreadable(name: str) -> None:
    """The listing, the timer and the reconciliation go on without them."""
    for time, stage in itertools.product(EXTREME_TIMES, (Stage.TRAINING, Stage.DELETING)):
        world = stored(stage, msgspec.json.encode(RECORDS[stage]))
        world.runs.blobs[RUN_ID].metadata |= {
            "suspended": "x",
            "suspended_until": "",
            "job_open": "1",
            name: time,
        }
        if time in EXTREME_TIMES[:6]:
            assert getattr(world.runs.entries()[0], name) is None
        assert respond(lambda world=world: list_runs({}, world.services)).status == 200  # type: ignore[misc]
        schedule_due_runs(world.services)
        reconcile_resources(settings=SETTINGS, services=world.services)


@given(damaged())
def test_no_record_leads_out_of_its_container_or_workspace(case: tuple[Stage, bytes]) -> None:
    """Whatever its names were made into, no port is asked for anything that is not the run's own."""
    names: list[str] = []
    world = stored(*case)
    with suppress(FinetuneError, AssertionError, ValueError):
        handle_advance_message(RUN_ID, delivery=1, settings=SETTINGS, services=watched(world, names))
    assert RUN_ID in names
    for name in names:
        assert not {".", ".."} & set(name.replace("\\", "/").split("/")), name
        assert not set("\\?#") & set(name), name
    assert {*world.runs.blobs, *world.cloud.jobs, *world.cloud.seen} <= {RUN_ID}


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("run_id",), "../../../../otherWs/jobs/x"),
        (("run_id",), "ft-other-0123456789"),
        (("source", "files", 0, "path"), "x.jsonl/../../runs/secret.jsonl"),
        (("source", "files", 0, "path"), "../train.jsonl"),
        (("source", "files", 0, "path"), "run.json"),
        (("plan", "compute"), "../../otherWs/computes/x"),
        (("plan", "compute_size"), "x/../y"),
    ],
)
def test_a_record_of_names_that_lead_out_is_corrupt(way: tuple[str | int, ...], value: str) -> None:
    """It is read by nobody, and suspended like any other corrupt record."""
    record = copy.deepcopy(RECORDS[Stage.TRAINING])
    read_record(RUN_ID, msgspec.json.encode(record))
    _put(record, way, value)
    with pytest.raises(CorruptRunError):
        read_record(RUN_ID, msgspec.json.encode(record))


def test_companions_are_of_the_upload_that_opened_the_run() -> None:
    """Files beside `train` are read; the next folder's are not."""
    files = [{"path": f"support/{name}.jsonl", "etag": "1", "size": 1} for name in ("train", "test")]
    record = {**RECORDS[Stage.RECEIVED], "source": {"container": "uploads", "files": files}}
    assert len(read_record(RUN_ID, msgspec.json.encode(record)).source.files) == 2
    files[1]["path"] = "other/test.jsonl"
    with pytest.raises(CorruptRunError):
        read_record(RUN_ID, msgspec.json.encode(record))


def test_bytes_that_are_no_record_are_corrupt() -> None:
    """For the queue as for HTTP."""
    world = World()
    world.runs.create(a_run())
    world.runs.corrupt(RUN_ID, b"\x00\xff")
    with pytest.raises(CorruptRunError):
        handle_advance_message(RUN_ID, delivery=1, settings=SETTINGS, services=world.services)


NEXT = SCHEMA_VERSION + 1


def written_by_the_next_version(run: Run, *, indexed: bool) -> World:
    """A record of the next version, with or without its index entry."""
    world = World()
    world.runs.create(run)
    blob = world.runs.blobs[RUN_ID]
    blob.body = msgspec.json.encode({**RECORDS[run.stage], "schema_version": NEXT, "later": {"of": [1]}})
    if indexed:
        blob.metadata["schema"] = str(NEXT)
    world.cloud.seen[RUN_ID] = EndpointStatus(Provisioning.READY, None, {})
    world.cloud.tags[RUN_ID] = {RUN_TAG: RUN_ID}
    return world


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize(
    "stage", [Stage.VALIDATED, Stage.TRAINING, Stage.DEPLOYING, Stage.LIVE, Stage.DELETING]
)
def test_a_record_of_a_newer_version_is_left_alone_with_attention(stage: Stage, indexed: bool) -> None:
    """Timers, messages and callers leave it and its endpoint as they are, and none of them crashes."""
    world = written_by_the_next_version(a_run(stage), indexed=indexed)
    body = world.runs.blobs[RUN_ID].body
    schedule_due_runs(world.services)
    for delivery in (1, MAX_DELIVERIES):
        handle_advance_message(RUN_ID, delivery=delivery, settings=SETTINGS, services=world.services)
    reconcile_resources(settings=SETTINGS, services=world.services)
    for ask in (cancel_run, delete_endpoint, retry_run):
        answer = respond(lambda ask=ask: ask(RUN_ID, world.services))  # type: ignore[misc]
        assert answer.status == 503
        assert f"schema {NEXT}" in answer.body.decode()
    assert world.runs.blobs[RUN_ID].body == body
    assert world.cloud.begun == []
    (entry,) = world.runs.entries()
    assert entry.needs_attention(world.now)
    assert not entry.is_due(world.now)
    if indexed:
        assert entry.suspended is None, "the newer version would not advance it for an hour"
        world.now += timedelta(days=400)
        reconcile_resources(settings=SETTINGS, services=world.services)
        assert world.cloud.begun == []


def test_a_record_of_an_older_version_is_migrated() -> None:
    """Version 1 did not say whether an endpoint is public; the next save writes the present version."""
    world = World()
    run = a_run(Stage.LIVE)
    world.runs.create(run)
    old = copy.deepcopy(RECORDS[Stage.LIVE]) | {"schema_version": 1}
    del old["endpoint"]["public"]
    old["endpoint"]["serving"] |= {"timeout_seconds": 180, "context_window": None}
    world.runs.blobs[RUN_ID].body = msgspec.json.encode(old)
    assert world.runs.load(RUN_ID).run == run
    advance(world, RUN_ID)
    assert msgspec.json.decode(world.runs.blobs[RUN_ID].body)["schema_version"] == SCHEMA_VERSION
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 0},
        {"schema_version": -1},
        {"schema_version": "2"},
        {"schema_version": None},
        {"schema_version": 1, "endpoint": 7},
        {"expires": "2030-01-01T00:00:00Z"},
        {"endpoint": {**RECORDS[Stage.LIVE]["endpoint"], "expire_at": "2030-01-01T00:00:00Z"}},
    ],
)
def test_what_no_version_wrote_is_corrupt(change: dict[str, Any]) -> None:
    """Among it unknown fields, at any depth: writing the record would lose them without a word."""
    with pytest.raises(CorruptRunError):
        read_record(RUN_ID, msgspec.json.encode(RECORDS[Stage.LIVE] | change))


def test_a_record_without_a_version_is_corrupt() -> None:
    """Nobody can tell what its fields mean."""
    record = copy.deepcopy(RECORDS[Stage.LIVE])
    del record["schema_version"]
    with pytest.raises(CorruptRunError):
        read_record(RUN_ID, msgspec.json.encode(record))


def test_an_edited_extension_ends_with_the_longest_lifetime() -> None:
    """Whatever the record says; somebody is told, and reconcile_resources acts on the setting, too."""
    most = SETTINGS.limits().longest_lifetime
    world = World()
    world.runs.create(a_run(Stage.LIVE, requests=Requests(extended_to=NOW + timedelta(days=60_000))))
    world.cloud.seen[RUN_ID] = EndpointStatus(
        Provisioning.READY, None, {"main": 100}, DeploymentStatus(Provisioning.READY)
    )
    world.cloud.tags[RUN_ID] = {RUN_TAG: RUN_ID}
    run = advance(world, RUN_ID)
    assert (run.stage, run.due) == (Stage.LIVE, NOW + most)
    assert "ENDPOINT_MAX_LIFETIME_HOURS" in (run.attention or "")
    world.runs.suspend(RUN_ID, "why", until=NOW + timedelta(days=60_000))
    world.now = NOW + most
    reconcile_resources(settings=SETTINGS, services=world.services)
    assert world.cloud.begun == [("delete", RUN_ID)]
    assert advance(world, RUN_ID).stage is Stage.DELETING
