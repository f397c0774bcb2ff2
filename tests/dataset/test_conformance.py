"""Validation and the emulated trainer, held to what Microsoft's trainer did with the same files.

`bench/conformance/outcomes.json` has that: `make conformance` runs the trainer and finds what has changed.
"""

import json
from functools import cache
from typing import Any

import pytest
from azureml_emulator import PreprocessError, preprocess_files

from bench.conformance.__main__ import OUTCOMES, RUNS
from bench.conformance.cases import WINDOW, Case, cases
from bench.conformance.snapshots import Snapshot, snapshot_of

CASES = {case.name: case for case in cases()}
LIKE_THE_EMULATOR = "phi3, datasets 4.7.0"
_OF_SNAPSHOT = "snapshot of "


@cache
def recorded() -> dict[str, dict[str, dict[str, Any]]]:
    """What became of each case in each run."""
    outcomes: dict[str, Any] = json.loads(OUTCOMES.read_text())["outcomes"]
    return outcomes


@cache
def snapshot(name: str) -> Snapshot:
    """What validation makes of a case today."""
    return snapshot_of(CASES[name])


def emulated(case: Case) -> dict[str, int] | None:
    """Rows that the emulated trainer keeps of a case; None if it fails."""
    files = {split: (f"{split}.jsonl", data) for split, data in case.files.items()}
    try:
        rows = preprocess_files(
            files["train"], files.get("validation"), files.get("test"), window=WINDOW
        ).rows
    except PreprocessError:
        return None
    return {split: rows[split] for split in ("train", "validation")}


def kept(outcome: dict[str, Any]) -> dict[str, int] | None:
    """The same of the recorded trainer."""
    return None if "fails" in outcome else outcome


def test_every_case_was_recorded() -> None:
    """In every run; a new case has to be recorded first."""
    assert recorded().keys() >= CASES.keys()
    assert all(outcome.keys() == RUNS.keys() for outcome in recorded().values())


@pytest.mark.parametrize("name", CASES)
def test_the_emulated_trainer_does_as_the_real_one(name: str) -> None:
    """It keeps as many rows of training and validation, or fails, too."""
    assert emulated(CASES[name]) == kept(recorded()[name][LIKE_THE_EMULATOR]), recorded()[name]


@pytest.mark.parametrize("name", [name for name in recorded() if name.startswith(_OF_SNAPSHOT)])
def test_the_trainer_keeps_what_validation_accepts(name: str) -> None:
    """Every row of the snapshot, under each vocabulary and version, but those that were warned of."""
    made = snapshot(name.removeprefix(_OF_SNAPSHOT))
    assert made.report.accepted
    rows = {split: made.report.splits[split].rows for split in made.report.splits if split != "test"}
    doubtful = made.report.counts.get("W106", 0)
    for run, outcome in recorded()[name].items():
        assert "fails" not in outcome, run
        assert sum(rows.values()) - doubtful <= sum(outcome.values()) <= sum(rows.values()), run
        assert doubtful or outcome == rows, run


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "test" not in case.files])
def test_nothing_is_lost_without_a_word(name: str) -> None:
    """What the trainer fails on or drops, validation refuses, repairs or warns of."""
    case, report = CASES[name], snapshot(name).report
    given = sum(data.count(b'"messages"') for data in case.files.values())
    for outcome in recorded()[name].values():
        if "fails" in outcome or sum(outcome.values()) < given * 9 // 10 - 1:
            assert report.counts, name
