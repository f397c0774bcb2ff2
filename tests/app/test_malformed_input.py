"""What others send: options, notices and events are read or dropped, however they are made."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.events.job_status_changed import RUN_STATUS_CHANGED, handle_job_status_changed
from handlers.events.notification_message import deliver_notification
from shared.domain.errors import CorruptRunError
from shared.domain.run.options import RunOptions
from shared.domain.run.record import read_record
from shared.domain.run.run_json import OPTIONS_LIMIT_BYTES, override_options
from shared.domain.run.stages import Stage
from tests.app.builders import OPTIONS, RUN_ID, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, upload

NOTIFYING = msgspec.structs.replace(SETTINGS, webhook_url="https://hooks.example.com/x")
DEEP = 60_000
"""Brackets within `run.json`'s limit, and more than a decoder follows."""

KEYS = sorted({field.name for field in msgspec.structs.fields(RunOptions)} | {"run_id", "index", "attempt"})

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just(RUN_ID)
    | st.just(RUN_STATUS_CHANGED),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*KEYS, "runId", "runStatus"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON of any shape, nested to any depth, cut off or spoilt anywhere."""
    text = json.dumps(draw(values)).encode()
    opening = draw(st.sampled_from([b"[", b'{"parameters":', b'{"run_id":[']))
    depth = draw(st.sampled_from([0, 1, 500, DEEP // len(opening)]))
    text = opening * depth + text
    cut = draw(st.integers(0, len(text)))
    return draw(st.sampled_from([text, text[:cut], text[:cut] + draw(st.binary(max_size=8)) + text[cut:]]))


@given(texts())
def test_any_run_json_gives_options_or_problems(text: bytes) -> None:
    """Whatever is in it, however deep, the upload's run can be opened."""
    options, problems = override_options(OPTIONS, text)
    assert problems or isinstance(options, RunOptions)


@given(texts(), st.sampled_from(Stage))
def test_any_message_is_announced_or_dropped(text: bytes, stage: Stage) -> None:
    """No message makes the queue's trigger fail, whatever its run is doing."""
    world = World()
    world.runs.create(a_run(stage))
    deliver_notification(text.decode("utf-8", "replace"), settings=NOTIFYING, services=world.services)


@given(st.none() | st.text(max_size=20) | st.just(RUN_STATUS_CHANGED), values)
def test_any_event_names_a_run_or_none(event_type: str | None, data: Any) -> None:
    """Event Grid's `data` may be anything that JSON has."""
    assert handle_job_status_changed(event_type, data) in ([], [RUN_ID])


def test_an_upload_with_nested_options_is_rejected_and_seen() -> None:
    """The run is there, with its reason; the event is not repeated until it is poison."""
    world = World()
    world.uploads.put("support/run.json", b"[" * DEEP)
    run = world.runs.load(upload(world, "support/train.jsonl")).run
    assert DEEP < OPTIONS_LIMIT_BYTES
    assert run.stage is Stage.REJECTED
    assert run.error is not None
    assert run.error.code == "InvalidOptions"


def test_a_notice_that_is_nested_is_dropped() -> None:
    """It is no notification."""
    world = World()
    deliver_notification('{"more":' + "[" * 40_000, settings=NOTIFYING, services=world.services)
    assert world.notifications.waiting == []


@pytest.mark.parametrize("data", [[], [RUN_ID], "runId", None, 7, {}, {"runId": [RUN_ID]}])
def test_an_event_whose_data_is_no_object_names_no_run(data: Any) -> None:
    """It is somebody else's."""
    assert handle_job_status_changed(RUN_STATUS_CHANGED, data) == []


def test_a_record_that_is_nested_is_corrupt() -> None:
    """For whoever reads it."""
    with pytest.raises(CorruptRunError):
        read_record(RUN_ID, b'{"more":' + b"[" * 100_000)
