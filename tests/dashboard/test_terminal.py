"""The terminal's commands on the real stack."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.dashboard.conftest import ROOT
from tests.dashboard.scenes import Scenes


def runs(scenes: Scenes, *arguments: str, question: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as a script would."""
    where = ("--url", scenes.stack.functions_url, "--key", scenes.stack.function_key)
    command = [sys.executable, "-m", "finetune", *arguments, *where]
    return subprocess.run(
        command, cwd=ROOT, input=question, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_run_is_followed_asked_extended_and_deleted(scenes: Scenes) -> None:
    """From upload to teardown without a browser."""
    run_id = scenes.upload("from-the-terminal")
    followed = runs(scenes, "follow", "from-the-terminal")
    assert followed.returncode == 0, followed.stderr
    stages = [json.loads(line)["stage"] for line in followed.stdout.splitlines()]
    assert stages[0] == "received"
    assert stages[-1] == "live"
    said = json.loads(runs(scenes, "chat", run_id, question="What is a black hole?\n").stdout)
    assert said["message"] == "What is a black hole?"
    assert said["reply"]
    assert runs(scenes, "extend", run_id, "--hours", "1").returncode == 0
    assert runs(scenes, "extend", run_id, "--hours", "8000").returncode == 1
    assert runs(scenes, "delete", run_id, "--yes", "--wait").returncode == 0
    assert json.loads(runs(scenes, "show", run_id).stdout)["stage"] == "deleted"
    listed = json.loads(runs(scenes, "runs", "--dataset", "from-the-terminal").stdout)
    assert [entry["run_id"] for entry in listed] == [run_id]
