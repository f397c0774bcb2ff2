"""The program as somebody meets it who has never seen it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.cli.program import build_parser, main
from tests.cli.answers import ENTRY, REPORT_PAGE, RUN, App, Call


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """And each command's own help names its arguments."""
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    commands = re.findall(r"^    (\w+)", shown.partition("commands:")[2], re.MULTILINE)
    for name in commands:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"usage: finetune {name}" in capsys.readouterr().out
    assert {"upload", "runs", "report", "chat"} <= set(commands)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sho", "faq"], "did you mean show?"),
        (["runs", "--stage", "failled"], "did you mean failed?"),
        (["runs", "--stage", "x"], "is none of received, validated,"),
        (["runs", "--limit", "0"], "0 is below 1"),
        (["show", "-x"], "-- -x"),
        (["report", "faq", "--output", "report.htm"], "neither .html nor .json"),
        (["completion", "tcsh"], "is none of bash, zsh, fish"),
    ],
)
def test_wrong_usage_says_what_would_be_right(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With code 2, and without a traceback."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_dataset_that_begins_with_a_dash_is_reachable(app: App, call: Call) -> None:
    """After two dashes, as everywhere."""
    app.entries = [{**ENTRY, "dataset": "-x"}]
    assert call("show", "--", "-x")[0] == 0
    assert any(request.url.params.get("dataset") == "-x" for request in app.asked)


def test_ids_are_whole_on_a_narrow_terminal(
    app: App,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are what one copies."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    app.entries = [{**ENTRY, "dataset": "a-very-long-name-of-a-dataset", "needs_attention": True}]
    assert ENTRY["run_id"] in call("runs")[1]
    assert RUN["run_id"] in call("show", "faq")[1]


@pytest.mark.parametrize("command", ["cancel", "delete"])
def test_an_ending_says_what_happens(app: App, call: Call, command: str) -> None:
    """What goes, what stays, and how to see it."""
    code, _, err = call(command, "faq", "--yes")
    assert code == 0
    assert "deletes its endpoint" in err
    assert "stay" in err
    assert f"finetune follow {RUN['run_id']}" in err


def test_a_report_is_shown_and_saved(
    app: App,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """In the terminal as `upload` shows it, in a file as the app makes it."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = call("report", "faq")[1]
    assert "support.jsonl:17" in shown
    assert "E104" in shown
    page = tmp_path / "report.html"
    assert call("report", "faq", "--output", str(page))[0] == 0
    assert page.read_text() == REPORT_PAGE


def test_a_duplicate_names_the_other_run(
    app: App,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it is shown, and where it was waited for."""
    app.run |= {"stage": "duplicate", "duplicate_of": "ft-faq-ffffffffff"}
    assert "ft-faq-ffffffffff" in call("follow", "faq")[2]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "ft-faq-ffffffffff" in call("show", "faq")[1]


def test_a_reader_that_leaves_is_no_error() -> None:
    """`finetune … | head` ends as other programs do."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "finetune", "completion", "bash"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_shells_complete_commands_and_runs(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets and ids are asked of the app."""
    monkeypatch.setenv("FINETUNE_URL", "https://app.example")
    monkeypatch.setenv("FINETUNE_KEY", "the-key")
    from argcomplete import CompletionFinder

    finder = CompletionFinder(build_parser())
    assert "upload" in finder._get_completions(["finetune"], "up", "", None)[0]
    assert set(finder._get_completions(["finetune", "show"], "", "", None)) >= {"faq", RUN["run_id"]}
