"""Damaged records: whatever a hand or a disk made of them, they are read, or said to be corrupt."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.run_view import run_view
from handlers.take_message import take_message
from shared.domain.errors import CorruptRunError, FinetuneError
from shared.domain.index import to_metadata
from shared.domain.run import Run
from shared.domain.stages import Stage
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS

RECORDS = [msgspec.to_builtins(a_run(stage)) for stage in Stage]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A record of some stage with fields taken from another stage's, removed, or overwritten."""
    record: dict[str, Any] = dict(draw(st.sampled_from(RECORDS)))
    other = draw(st.sampled_from(RECORDS))
    for name in draw(st.lists(st.sampled_from(sorted(record)), max_size=4)):
        match draw(st.sampled_from(["other", "gone", "garbage"])):
            case "other":
                record[name] = other.get(name)
            case "gone":
                record.pop(name, None)
            case _:
                record[name] = draw(values)
    return msgspec.json.encode({**record, "run_id": RUN_ID})


@given(damaged())
@settings(max_examples=300, deadline=None)
def test_what_can_be_read_can_be_shown_and_indexed(body: bytes) -> None:
    """A record that decodes has all that views and index need: its history, its files, times with zones."""
    try:
        run = msgspec.json.decode(body, type=Run)
    except msgspec.ValidationError:
        return
    msgspec.json.encode(run_view(run, NOW))
    to_metadata(run)


@given(damaged())
@settings(max_examples=300, deadline=None)
def test_a_damaged_record_never_spends_money_unnoticed(body: bytes) -> None:
    """Advancing it works, says that it is corrupt, or fails loudly; it never ends over a live endpoint."""
    world = World()
    world.runs.create(a_run())
    world.runs.corrupt(RUN_ID, body)
    try:
        take_message(RUN_ID, delivery=1, settings=SETTINGS, services=world.services)
    except (FinetuneError, AssertionError, ValueError):
        return
    after = world.runs.load(RUN_ID).run
    if after.stage.terminal:
        assert RUN_ID not in world.cloud.seen


def test_bytes_that_are_no_record_are_corrupt() -> None:
    """For the queue as for HTTP."""
    world = World()
    world.runs.create(a_run())
    world.runs.corrupt(RUN_ID, b"\x00\xff")
    with pytest.raises(CorruptRunError):
        take_message(RUN_ID, delivery=1, settings=SETTINGS, services=world.services)
