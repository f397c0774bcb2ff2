"""The upload tool beside a running stack, as somebody would use it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from local.stack import Stack
from tests.e2e.runs import SAMPLES
from tools import upload_dataset


def test_a_dataset_is_checked_sent_and_followed_until_it_is_live(
    stack: Stack,
    api: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The stack is found by itself, the stages are shown in order, and tool and app agree on the rows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".local").symlink_to(stack.folder)
    rows = [json.loads(line) for line in (SAMPLES / "ultrachat-sample.jsonl").read_text().splitlines()]
    (tmp_path / "followed.json").write_text(json.dumps(rows, indent=2))
    code = upload_dataset.main(["--dataset", "followed.json", "--idle-minutes", "0", "--force", "--follow"])
    out, err = capsys.readouterr()
    assert code == 0, err
    told = json.loads(out)
    assert (told["path"], told["stage"]) == ("followed/train.jsonl", "live")
    stages = ["received", "validated", "training", "trained", "registered", "deploying", "live"]
    assert [line.split()[-1] for line in err.splitlines() if line.startswith("  20")] == stages
    run = api.get(f"/api/runs/{told['run_id']}").raise_for_status().json()
    assert [entry["stage"] for entry in run["history"]][:7] == stages
    assert run["report"]["rows_read"] == len(rows)
    assert api.delete(f"/api/endpoints/{told['run_id']}").status_code == 202
