"""The index in blob metadata, and the budget guards that read nothing else."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.http.entry_views import entry_view
from shared.domain.run.cost import Prices, run_cost
from shared.domain.run.index import IndexEntry
from shared.domain.run.index_metadata import from_metadata, to_metadata
from shared.domain.run.parts import Failure, Requests
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.app.builders import NOW, RUN_ID, a_run


def entry(run: Run) -> IndexEntry:
    """The run as the index shows it."""
    return from_metadata(run.run_id, to_metadata(run))


@given(st.text(min_size=1, max_size=128), st.sampled_from(Stage))
def test_what_is_written_is_read(dataset: str, stage: Stage) -> None:
    """Every fact survives being metadata, datasets in any script included, and fits into headers."""
    if any("\ud800" <= character <= "\udfff" for character in dataset):
        return
    run = a_run(stage, dataset=dataset)
    metadata = to_metadata(run)
    assert all(value.isascii() and value.isprintable() and value for value in metadata.values())
    assert sum(len(name) + len(value) for name, value in metadata.items()) < 8192
    read = entry(run)
    assert (read.dataset, read.stage, read.due) == (dataset, stage, run.due)
    assert (read.opened, read.entered) == (run.opened_at, run.history[-1].at)
    assert read.billable == run.billable
    assert read.expires == (None if stage.at_rest else run.expires_at)


@given(
    st.dictionaries(
        st.sampled_from([*sorted(to_metadata(a_run(Stage.LIVE))), "suspended", "suspended_until"]),
        st.text(max_size=40) | st.sampled_from(["live", "1", "9999-12-31T23:59:59Z", "2026-03-01", "%ff"]),
    )
)
@example({"due": "2026-03-01"})
@example({"suspended": "", "suspended_until": "2026-03-01"})
@example({"stage": "deleting", "entered": "2026-03-01"})
def test_no_metadata_is_an_error(written: dict[str, str]) -> None:
    """Whatever somebody wrote there, an entry comes out, and what nobody touched is read as before."""
    sound = to_metadata(a_run(Stage.LIVE))
    read = from_metadata(RUN_ID, sound | written)
    assert (read.stage is Stage.LIVE) == (written.get("stage", "live") == "live")
    assert all(
        getattr(read, name) == getattr(entry(a_run(Stage.LIVE)), name)
        for name in sound.keys() - written - {"schema"}
    )
    read.is_due(NOW)
    read.needs_attention(NOW)


def test_metadata_names_are_read_whatever_their_case() -> None:
    """Storage may answer header names in another case than they were written."""
    shouted = {name.upper(): value for name, value in to_metadata(a_run(Stage.LIVE)).items()}
    assert from_metadata(RUN_ID, shouted) == entry(a_run(Stage.LIVE))


def test_only_due_runs_that_nobody_suspended_are_due() -> None:
    """The timer leaves alone what is over, not due yet, or suspended."""
    assert entry(a_run(Stage.TRAINING)).is_due(NOW)
    assert not entry(a_run(Stage.TRAINING, due=NOW + timedelta(seconds=1))).is_due(NOW)
    assert not entry(a_run(Stage.FAILED)).is_due(NOW)
    assert not entry(a_run(Stage.TRAINING))._replace(suspended="CorruptRunError").is_due(NOW)


def test_a_person_is_needed_for_four_reasons() -> None:
    """Suspended, unreadable, deleting for over an hour, or due for over an hour; nothing else."""
    deleting = entry(a_run(Stage.DELETING, due=NOW + timedelta(days=1)))
    assert not deleting.needs_attention(NOW + timedelta(minutes=59))
    assert deleting.needs_attention(NOW + timedelta(minutes=61))
    assert entry(a_run(Stage.TRAINING))._replace(suspended="").needs_attention(NOW)
    assert from_metadata(RUN_ID, {}).needs_attention(NOW)
    training = entry(a_run(Stage.TRAINING, due=NOW + timedelta(days=9)))
    assert not training.needs_attention(NOW + timedelta(days=9, minutes=59))
    assert training.needs_attention(NOW + timedelta(days=9, minutes=61))
    assert not entry(a_run(Stage.DELETED)).needs_attention(NOW + timedelta(days=9))


@pytest.mark.parametrize("stage", [Stage.FAILED, Stage.REJECTED])
def test_a_bad_end_needs_attention_for_a_day_unless_it_is_acknowledged(stage: Stage) -> None:
    """It alerts nobody: what an uploader has to mend is not what an operator is woken for."""
    error = Failure(code="DatasetRejected", message="3 rows: faulty", stage=Stage.RECEIVED, at=NOW)
    run = a_run(stage, error=error)
    ended = entry(run)
    assert ended.note == "DatasetRejected: 3 rows: faulty"
    assert ended.needs_attention(NOW + timedelta(hours=23))
    assert not ended.needs_attention(NOW + timedelta(hours=25))
    assert not ended.is_stuck(NOW + timedelta(hours=23))
    noted = msgspec.structs.replace(run, requests=Requests(acknowledged_at=NOW))
    assert not entry(noted).needs_attention(NOW)
    earlier = msgspec.structs.replace(run, requests=Requests(acknowledged_at=NOW - timedelta(seconds=1)))
    assert entry(earlier).needs_attention(NOW), "an end that came after the note has none"


def test_texts_of_any_length_fit_into_the_metadata() -> None:
    """Each in a script whose letters take twelve bytes there."""
    long = "\N{LINEAR B SYLLABLE B008 A}" * 5_000
    fault = Failure(code="Quota", message=long, stage=Stage.TRAINED, at=NOW)
    run = a_run(Stage.STOPPED, error=fault, attention=long, last_fault=fault, dataset=long[:128])
    assert sum(len(name) + len(value) for name, value in to_metadata(run).items()) < 8192
    assert long.startswith(entry(run).attention or "nothing")


@pytest.mark.parametrize("stage", Stage)
def test_what_a_run_costs_is_known_from_its_entry(stage: Stage) -> None:
    """To the cent of what its record says, now and hours later."""
    prices = Prices({"standard_nc24ads_a100_v4": 3.67}, "USD")
    run = a_run(stage)
    shown = entry_view(entry(run), NOW, prices).cost
    for now in (NOW, NOW + timedelta(hours=7)):
        whole = run_cost(run, prices, now)
        hours = (now - shown.since) / timedelta(hours=1) * shown.nodes if shown.since else 0
        parts = (whole.training_node_hours, whole.endpoint_node_hours)
        assert shown.node_hours + hours == pytest.approx(sum(filter(None, parts)), abs=0.001)
        amount = (shown.amount or 0) + hours * (shown.price_per_hour or 0)
        costs = (whole.training_cost, whole.endpoint_cost)
        assert amount == pytest.approx(sum(filter(None, costs)), abs=0.011)


def test_an_extension_shows_in_the_index() -> None:
    """The expiry that people see is the one that holds."""
    run = a_run(Stage.LIVE, requests=Requests(extended_to=NOW + timedelta(hours=30)))
    assert entry(run).expires == NOW + timedelta(hours=30)
