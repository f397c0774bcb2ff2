"""The launcher and the demo as processes: one stack a folder, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobClient

from finetune.client import Client
from local.processes import ChildProcess, wait_until
from local.settings import ROOT, app_environment
from local.stack import Stack, StackRunningError
from tests.e2e.runs import SAMPLES, follow, run_of, sample, upload
from tests.live_stack import LiveStack

SECONDS = 240.0


def exists(pid: int) -> bool:
    """Whether a process id is in use by anything but a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def launched(folder: Path) -> Iterator[ChildProcess]:
    """`make dev` in a folder, until the page's address is told."""
    command = [sys.executable, "-m", "local.dev", "--folder", str(folder), "--host", "local", "--port", "0"]
    with ChildProcess("stack", command, folder.parent / "launcher.log", folder=ROOT) as process:
        process.wait_ready(lambda: "#key=" in process.output(), SECONDS)
        yield process


def addresses(folder: Path) -> dict[str, Any]:
    """What the launcher wrote."""
    content: dict[str, Any] = json.loads((folder / "stack.json").read_text())
    return content


def runs_of(told: dict[str, Any], dataset: str) -> list[Any]:
    """The runs of a dataset, in the stack that has these addresses."""
    with Client(told["functions_url"], told["function_key"]) as client:
        return list(client.runs(dataset=dataset))


def test_what_ran_is_there_after_a_restart_and_no_process_outlives_the_launcher(tmp_path: Path) -> None:
    """Runs and key are kept; however the launcher ends, killed included, all that it started ends, too."""
    folder = tmp_path / "stack"
    keys = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        with launched(folder) as launcher:
            told = addresses(folder)
            keys.append(told["function_key"])
            assert f"export FINETUNE_URL={told['functions_url']} FINETUNE_KEY={keys[0]}" in launcher.output()
            if len(keys) == 1:
                with BlobClient.from_connection_string(
                    told["blob_connection_string"], "uploads", "kept.jsonl"
                ) as blob:
                    blob.upload_blob((SAMPLES / "broken.jsonl").read_bytes())
            assert wait_until(lambda told=told: runs_of(told, "kept"), SECONDS)
            pids = told["pids"]
            assert set(pids) == {"stack", "azurite", "azureml", "functions", "event_grid"}
            assert all(exists(pid) for pid in pids.values())
            launcher.send_signal(number)
            assert wait_until(lambda pids=pids: not any(exists(pid) for pid in pids.values()), SECONDS)
    assert len(set(keys)) == 1


def test_the_launcher_ends_when_a_part_dies(tmp_path: Path) -> None:
    """It stops the rest, says which part it was, and exits with 1."""
    folder = tmp_path / "stack"
    with launched(folder) as launcher:
        pids = addresses(folder)["pids"]
        os.kill(pids["azureml"], signal.SIGKILL)
        assert wait_until(lambda: not launcher.alive, SECONDS)
    assert launcher.returncode == 1
    assert "azureml" in launcher.output().splitlines()[-1]
    assert not any(exists(pid) for pid in pids.values())


def test_a_second_start_finds_the_first(live_stack: LiveStack) -> None:
    """Its error tells where the running stack answers, and the running one stays untouched."""
    running = live_stack.stack
    with pytest.raises(StackRunningError, match=running.functions_url):
        Stack(folder=running.folder).start()
    assert httpx.get(f"{running.functions_url}/api/health", trust_env=False, timeout=60).status_code == 200
    assert json.loads((running.folder / "stack.json").read_text())["function_key"] == running.function_key


def test_core_tools_are_used_where_they_are_installed_and_the_host_may_die(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`func start` runs in the app's folder with its environment; a program in its place shows how.

    A run whose function host is killed while it trains goes on when a host is back.
    """
    func = tmp_path / "bin" / "func"
    func.parent.mkdir()
    func.write_text(
        "#!/bin/sh\n"
        f'echo "$1 $2 $PWD $AZUREML_WORKSPACE" > {tmp_path}/called\n'
        "export FUNCTIONS_EMULATOR_KEY=not-asked-for-by-func-start\n"
        'exec python -m emulators.functions --port "$3"\n'
    )
    func.chmod(0o755)
    monkeypatch.setenv("PATH", f"{func.parent}{os.pathsep}{os.environ['PATH']}")
    with Stack(folder=tmp_path / "stack") as stack, stack.client() as api:
        assert api.get("/api/runs").status_code == 200
        assert (tmp_path / "called").read_text() == f"start --port {ROOT} local\n"
        upload(stack, "survivor.jsonl", sample("survivor"))
        run_id = run_of(api, "survivor")
        follow(api, run_id, "training", "trained", "registered", "deploying", "live")
        stack.kill_functions()
        stack.start_functions()
        follow(api, run_id, "live")
        assert api.post(f"/api/runs/{run_id}/cancel").status_code == 202
        run = follow(api, run_id, "canceled", "deleted")
    stages = [entry["stage"] for entry in run["history"]]
    assert len(stages) == len(set(stages))


def test_the_app_sees_nothing_of_a_real_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and settings of the shell do not reach the local app, and overrides win."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "real")
    monkeypatch.setenv("AzureWebJobsDashboard", "real")
    environment = app_environment("local storage", {"IDENTITY_ENDPOINT": "local"}, {"JOB_POLL_SECONDS": "9"})
    assert "real" not in environment.values()
    assert environment["TrainingStorage"] == "local storage"
    assert environment["IDENTITY_ENDPOINT"] == "local"
    assert environment["JOB_POLL_SECONDS"] == "9"


def test_a_demo_that_fails_says_so(tmp_path: Path) -> None:
    """With a dataset that is rejected the demo ends with 1, and its last line still is the outcome."""
    sample = tmp_path / "broken-demo.jsonl"
    sample.write_bytes((SAMPLES / "broken.jsonl").read_bytes())
    command = [
        sys.executable,
        "-m",
        "local.demo",
        "--sample",
        str(sample),
        "--folder",
        str(tmp_path / "demo"),
    ]
    with ChildProcess("demo", command, tmp_path / "demo.log", folder=ROOT) as demo:
        assert wait_until(lambda: not demo.alive, SECONDS)
        outcome = json.loads(demo.output().splitlines()[-1])
    assert demo.returncode == 1
    assert outcome["stages"] == ["received", "rejected"]
    assert outcome["deleted"] is False
