"""The upload tool beside a running stack, as somebody would use it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from finetune.cli import target
from finetune.cli.program import main
from local.stack import Stack
from tests.e2e.runs import SAMPLES


def test_a_dataset_is_checked_sent_and_followed_until_it_is_live(
    stack: Stack,
    api: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The stack is found by itself, the stages are shown in order, and tool and app agree on the rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(target, "STACK", stack.folder / "stack.json")
    rows = [json.loads(line) for line in (SAMPLES / "ultrachat-sample.jsonl").read_text().splitlines()]
    (tmp_path / "followed.json").write_text(json.dumps(rows, indent=2))
    code = main(["upload", "followed.json", "--idle-minutes", "0", "--force", "--follow"])
    out, err = capsys.readouterr()
    assert code == 0, err
    *entered, told = map(json.loads, out.splitlines())
    assert (told["path"], told["stage"]) == ("followed/train.jsonl", "live")
    stages = ["received", "validated", "training", "trained", "registered", "deploying", "live"]
    assert [entry["stage"] for entry in entered] == stages
    run = api.get(f"/api/runs/{told['run_id']}").raise_for_status().json()
    assert [entry["stage"] for entry in run["history"]][:7] == stages
    assert run["report"]["rows_read"] == len(rows)
    assert api.delete(f"/api/endpoints/{told['run_id']}").status_code == 202
