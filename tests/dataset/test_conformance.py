"""Validation and the emulated trainer, held to what Microsoft's trainer did with the same files.

`bench/conformance/outcomes.json` has that: `make conformance` runs the trainer and finds what has changed.
"""

import json
from functools import cache
from typing import Any

import pytest
from azureml_emulator import PreprocessError, preprocess_files

from bench.conformance.__main__ import OUTCOMES, RUNS, TOOL_RUNS
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


def learned(name: str) -> dict[str, str]:
    """What is learned of the first row of a case with tool calls, in each run."""
    texts: dict[str, dict[str, str]] = json.loads(OUTCOMES.read_text())["learned"]
    return texts[name]


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


ANOTHER_TURN = "tool calls: a call, its result and another turn"


@pytest.mark.parametrize("run", [*RUNS, *TOOL_RUNS])
def test_written_as_text_the_answers_of_tool_calls_are_learned_and_nothing_else(run: str) -> None:
    """By every template, those that skip tools and those that take them: the call, and both answers."""
    text = learned(f"{_OF_SNAPSHOT}{ANOTHER_TURN}")[run]
    for words in (
        "<tool_call>",
        '{"name": "weather", "arguments": {"city": "Rome"}}',
        "ANSWER",
        "SECOND ANSWER",
    ):
        assert words in text
    for words in ("QUESTION", "RESULT", "<tools>"):
        assert words not in text


def test_as_they_are_tool_calls_would_be_learned_otherwise() -> None:
    """Why they are refused: calls that are lost, users' words that are learned, or no training at all."""
    for run in RUNS:
        assert "weather" not in learned(ANOTHER_TURN)[run]
        assert "SECOND QUESTION" in learned(ANOTHER_TURN)[run]
        assert "fails" in recorded()["tool calls: a call, content null"][run]
    assert "RESULT" in learned(ANOTHER_TURN)["phi4-mini, datasets 4.7.0"]
    for run in ("hermes, datasets 4.7.0", "hermes, datasets 4.0.0"):
        assert '"{\\"city\\": \\"Rome\\"}"' in learned(ANOTHER_TURN)[run]
