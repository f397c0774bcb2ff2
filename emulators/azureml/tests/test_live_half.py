"""The conformance suite on a workspace that is given: an emulator, as if it were the service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import live_results
from azureml_emulator import Emulator

SUITE = Path(__file__).with_name("test_service_conformance.py")


def test_the_suite_runs_on_a_workspace_that_is_given(tmp_path: Path) -> None:
    """All of it succeeds and is noted with today's date; it cleans up; the committed file stays."""
    results, committed = tmp_path / "results.json", live_results.COMMITTED.read_bytes()
    with Emulator(pace="instant", strict=True, workspace="given") as emulator:
        names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE")
        environment = {
            **os.environ,
            **emulator.environment,
            **dict(zip(names, emulator.workspace, strict=True)),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the suite needs none, and starts sooner
            live_results.LIVE: "1",
            live_results.RESULTS: str(results),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE)]
        root = SUITE.parents[1]
        done = subprocess.run(
            [*command, "--rootdir", str(root), "-c", str(root / "pyproject.toml")],
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        left = emulator.resources("endpoints", "computes", "jobs", "assets")
        called = {call["operation"] for call in emulator.calls()}
    today, noted = datetime.now(UTC).date().isoformat(), live_results.read(results)
    assert {one["date"] for one in noted.values()} == {today}
    assert f"{len(noted)} passed" in done.stdout
    assert {operation for one in noted.values() for operation in one["operations"]} <= called
    assert (left["endpoints"], left["computes"]) == ([], [])
    assert Counter(one["properties"]["isArchived"] for one in left["assets"]).keys() == {True}
    assert live_results.COMMITTED.read_bytes() == committed
