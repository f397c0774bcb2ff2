"""The harness finds what it is there to find: each kind of broken app shows in the column meant for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos import host as host_module
from chaos.crashes import MAIN, SCENARIOS, killed, kills_of, record
from chaos.guards import guards
from chaos.harness import Harness, Verdict
from chaos.races import canceled
from chaos.table import Table
from chaos.wire import FaultKind
from shared.domain.run.stages import Stage

DELETED = frozenset({Stage.DELETED})


@pytest.fixture(scope="module")
def sabotage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that names the sabotage of workers started from now on."""
    return tmp_path_factory.mktemp("chaos") / "sabotage"


@pytest.fixture(scope="module")
def harness(sabotage: Path) -> Iterator[Harness]:
    """A harness around an app that can be broken."""
    with Harness("tests.chaos.sabotage:chosen", SABOTAGE=str(sabotage)) as running:
        yield running


@pytest.fixture
def broken(sabotage: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Break the app of workers started from now on."""
    monkeypatch.setattr(host_module, "MOST_TICKS", 12)
    return lambda name: [sabotage.write_text(name), None][1]


def _table(fault: str, *verdicts: Verdict) -> Table:
    table = Table()
    for verdict in verdicts:
        table.add(fault, verdict)
    return table


def _carried(harness: Harness) -> Verdict:
    host = harness.host()
    return harness.assess(host, host.carry(), DELETED, injected=1)


def test_a_sound_app_survives_being_killed_around_the_call_that_costs_most(
    harness: Harness, broken: Callable[[str], None]
) -> None:
    """Before and after the submission: one of everything, nothing left, and the kills really happened."""
    broken("nothing")
    calls = record(harness, MAIN).calls
    submission = next(
        index for index, (_, call) in enumerate(calls) if call.startswith("PUT") and "/jobs/" in call
    )
    verdicts = [killed(harness, MAIN, submission, kill) for kill in kills_of(calls[submission])]
    table = _table("kill", *verdicts)
    assert table.clean, table.notes
    assert all("/jobs/" in call for verdict in verdicts for call in verdict.hit_calls)
    assert table.total == [2, 2, 2, 0, 0, 0, 0]


def test_a_run_is_held_for_its_caller_by_the_worker_that_comes_after_a_killed_one(
    harness: Harness, broken: Callable[[str], None]
) -> None:
    """The worker that was to hold it dies at that very call; the next one must not let the run move on."""
    broken("nothing")
    scenario = SCENARIOS[0]
    calls = record(harness, scenario).calls
    held = next(number for number, (stage, _) in enumerate(calls) if stage == scenario.since)
    assert "/jobs/" in calls[held][1]
    verdict = killed(harness, scenario, held, FaultKind.KILL_AFTER)
    assert (verdict.injected, verdict.expected) == (1, 1), verdict.note


def test_a_run_that_is_over_before_the_call_is_killed_at_its_last_ones(
    harness: Harness, broken: Callable[[str], None]
) -> None:
    """A run that waits for nobody makes a few calls fewer than the recorded one; it is killed anyway."""
    broken("nothing")
    beyond = len(record(harness, MAIN).calls) + 2
    verdict = killed(harness, MAIN, beyond, FaultKind.KILL_BEFORE)
    assert (verdict.injected, verdict.runs, verdict.expected) == (1, 1, 1), verdict.note


def test_every_stage_of_a_run_makes_calls_that_are_seen(
    harness: Harness, broken: Callable[[str], None]
) -> None:
    """Calls of azure-core, azure-storage, azure-ai-ml and aiohttp alike, each with its stage."""
    broken("nothing")
    calls = record(harness, MAIN).calls
    ways = {"/devstoreaccount1/runs", "/jobs/", "/mlflow/", "/chat/completions", "/msi/token"}
    ways |= {"/metadata/endpoints"}
    assert {stage for stage, _ in calls} >= {stage.value for stage in Stage if not stage.terminal}
    assert all(any(way in call for _, call in calls) for way in ways)


def test_a_submission_under_a_new_name_shows_as_a_duplicate(
    harness: Harness, broken: Callable[[str], None]
) -> None:
    """Two jobs for one upload are counted, though one of them has the run's name."""
    broken("new name")
    verdict = _carried(harness)
    assert verdict.duplicates >= 1
    assert not _table("broken", verdict).clean


def test_an_endpoint_that_was_only_believed_gone_shows_as_leaked(
    harness: Harness, broken: Callable[[str], None]
) -> None:
    """The record says stopped; Azure ML says otherwise, and it is believed."""
    broken("no look")
    verdict = _carried(harness)
    assert (verdict.leaked, verdict.lost) == (1, 0)
    assert "ended as stopped" in verdict.note


def test_a_run_that_nobody_looks_at_again_shows_as_lost(
    harness: Harness, broken: Callable[[str], None]
) -> None:
    """It is live, and will be for ever."""
    broken("no due")
    assert _carried(harness).lost == 1


def test_a_request_that_is_written_over_shows(harness: Harness, broken: Callable[[str], None]) -> None:
    """A cancel that was accepted while a worker was about to save ends the run, or the case fails."""
    broken("nothing")
    calls = record(harness, MAIN).calls
    save = next(
        index
        for index, (stage, call) in enumerate(calls)
        if stage == "validated" and call.startswith("PUT") and "/runs/" in call
    )
    assert canceled(harness, save).expected == 1
    broken("lost update")
    assert canceled(harness, save).expected == 0


def test_a_limit_that_is_not_kept_shows() -> None:
    """With two slots, a third endpoint is counted by Azure ML's own account."""
    cases = list(guards("tests.chaos.sabotage:forgets_slot_holders"))
    verdict = cases[-1].run()
    assert verdict.injected == 1
    assert verdict.expected < verdict.runs
    assert "3 endpoints at once" in verdict.note


def test_a_case_that_never_met_its_fault_is_no_success() -> None:
    """A table is clean only if everything planned did happen."""
    fine = Verdict(1, 1, 1, 0, 0, 0)
    assert _table("fault", fine).clean
    assert not _table("fault", fine, fine._replace(injected=0)).clean
    assert not _table("fault", fine._replace(expected=0)).clean
    assert not _table("fault", fine._replace(leaked=1)).clean
    assert not _table("fault", fine._replace(longest=31.0)).clean
    assert not Table().clean


def test_the_table_sums_up_its_rows() -> None:
    """One line a fault, in order of appearance, and the sum last."""
    table = _table("first", Verdict(2, 1, 1, 0, 0, 0), Verdict(1, 1, 1, 0, 0, 0))
    table.add(str(FaultKind.RESET), Verdict(5, 1, 1, 0, 0, 0))
    lines = table.render().splitlines()
    assert [line.split("|")[0].strip() for line in lines if "|" in line] == [
        "fault",
        "first",
        "connection reset",
        "all",
    ]
    assert [cell.strip() for cell in lines[-1].split("|")[1:4]] == ["8", "3", "3"]
