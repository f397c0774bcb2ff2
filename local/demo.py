"""`make demo`: one dataset from upload to teardown, told as it happens.

It is a client like any other: a blob goes in, everything else is read from the HTTP API.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobClient

from local.console import DemoConsole
from local.processes import ProcessError, exit_on_termination, ignore_signals, wait_until
from local.settings import ROOT
from local.stack import FOLDER, Stack, StackRunningError

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
OVER = {"deleted", "rejected", "duplicate", "failed", "canceled"}
EXPECTED_STAGES = ("received", "validated", "training", "trained", "registered", "deploying", "live")
STAGE_SECONDS = 90.0
NEW_TOKENS = 120


class DemoError(Exception):
    """Something that the demo shows did not happen; the message says what."""


@dataclass(slots=True)
class Outcome:
    """What the last line of the demo holds; `deleted` stays false until the run itself says so."""

    run_id: str = ""
    stages: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    prompt: str = ""
    reply: str = ""
    expected: str = ""
    deleted: bool = False
    seconds: float = 0.0

    def as_json(self) -> str:
        """The object, on one line."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, ensure_ascii=False)


class Demo:
    """One walk through every stage, on a running stack."""

    def __init__(self, stack: Stack, client: httpx.Client, console: DemoConsole) -> None:
        """Take what the walk needs.

        Args:
            stack: The running stack.
            client: Calls the app's HTTP API with its key.
            console: Tells it.
        """
        self.outcome = Outcome()
        self._stack = stack
        self._client = client
        self._console = console

    def walk(self, sample: Path) -> None:
        """Upload, follow to `live`, show, chat, delete, follow to `deleted`.

        Raises:
            DemoError: A step did not happen.
        """
        self._upload(sample)
        run = self._follow({"live"})
        self._console.dataset(run)
        self._keep_metrics(run)
        self._console.metrics(self.outcome.metrics)
        self._console.smoke_tests(run)
        self._chat(run, sample)
        self._delete()
        self._follow({"deleted"})
        self.outcome.deleted = True
        missing = [stage for stage in EXPECTED_STAGES if stage not in self.outcome.stages]
        if missing:
            raise DemoError(f"the run never was {', '.join(missing)}")

    def _upload(self, sample: Path) -> None:
        rows = sample.read_bytes()
        conversations = rows.count(b"\n")
        self._console.title(
            f"Upload {sample.name}: {conversations} conversations, {len(rows) / 1024:.0f} KiB"
        )
        with BlobClient.from_connection_string(
            self._stack.blob_connection_string, "uploads", sample.name
        ) as blob:
            blob.upload_blob(rows)

        def found() -> bool:
            runs = self._get(f"/api/runs?dataset={sample.stem}")["runs"]
            if runs:
                self.outcome.run_id = runs[0]["run_id"]
            return bool(runs)

        if not wait_until(found, STAGE_SECONDS):
            raise DemoError("no run was opened for the upload")
        self._console.title(f"Run {self.outcome.run_id}")

    def _follow(self, goals: set[str]) -> dict[str, Any]:
        """Print each stage as the run comes to it, until it is where it should be.

        Raises:
            DemoError: The run ended somewhere else, or stood still for too long.
        """
        deadline = time.monotonic() + STAGE_SECONDS
        while True:
            run = self._get(f"/api/runs/{self.outcome.run_id}")
            for entry in run["history"][len(self.outcome.stages) :]:
                self.outcome.stages.append(entry["stage"])
                deadline = time.monotonic() + STAGE_SECONDS
                self._console.stage(entry["stage"])
            if run["stage"] in goals:
                return run
            if run["stage"] in OVER:
                error = run.get("error") or {}
                raise DemoError(
                    f"the run ended as {run['stage']}: {error.get('message', 'no error on the run')}"
                )
            if time.monotonic() > deadline:
                raise DemoError(f"the run stayed {run['stage']} for {STAGE_SECONDS:g} s")
            time.sleep(0.2)

    def _keep_metrics(self, run: Mapping[str, Any]) -> None:
        metrics = run.get("metrics") or {}
        numbers = {**(metrics.get("latest") or {}), **metrics}
        self.outcome.metrics = {
            name: value for name, value in numbers.items() if isinstance(value, int | float)
        }
        if not self.outcome.metrics:
            raise DemoError("the run has no metrics")

    def _chat(self, run: Mapping[str, Any], sample: Path) -> None:
        # A question of the upload's own: training is seen to have changed what the endpoint says.
        messages, self.outcome.expected = _first_exchange(sample)
        answer = self._client.post(
            f"/api/endpoints/{run['endpoint']['name']}/score",
            json={"messages": messages, "max_new_tokens": NEW_TOKENS},
        )
        if answer.status_code != 200:
            raise DemoError(f"scoring answered {answer.status_code}: {answer.text[:500]}")
        self.outcome.prompt = messages[-1]["content"]
        self.outcome.reply = _reply(answer.json())
        self._console.title("Chat with it, over HTTP: a question from the upload")
        self._console.exchange(messages, self.outcome.reply, self.outcome.expected)
        if not self.outcome.reply.strip():
            raise DemoError(f"the endpoint replied with nothing: {answer.text[:500]}")

    def _delete(self) -> None:
        self._console.title("Delete the endpoint, or the bill keeps running")
        answer = self._client.delete(f"/api/endpoints/{self.outcome.run_id}")
        if answer.status_code != 202:
            raise DemoError(f"deleting answered {answer.status_code}: {answer.text[:500]}")

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._client.get(path)
        if answer.status_code != 200:
            raise DemoError(f"GET {path} answered {answer.status_code}: {answer.text[:500]}")
        content: dict[str, Any] = answer.json()
        return content


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; the last line on standard output is its outcome as JSON.

    Returns:
        0 only when every step happened and no process was left.
    """
    parser = argparse.ArgumentParser("python -m local.demo", description=__doc__)
    parser.add_argument(
        "--sample", type=Path, default=SAMPLE, help="dataset to upload (default: %(default)s)"
    )
    parser.add_argument(
        "--folder", type=Path, default=FOLDER / "demo", help="for logs (default: %(default)s)"
    )
    parser.add_argument(
        "--app",
        type=Path,
        default=ROOT,
        help="the app's folder, such as an unpacked deployment package (default: this checkout)",
    )
    options = parser.parse_args(arguments)
    exit_on_termination()
    console = DemoConsole()
    outcome, faults = _run(options.sample, options.app.resolve(), options.folder.resolve(), console)
    outcome.seconds = round(console.seconds, 1)
    console.end(faults, options.folder / "logs")
    print(outcome.as_json(), flush=True)
    return 1 if faults else 0


def _run(sample: Path, app: Path, folder: Path, console: DemoConsole) -> tuple[Outcome, list[str]]:
    outcome, faults = Outcome(), []
    pids: dict[str, int] = {}
    try:
        console.title("Start storage, Azure ML and the function app on this machine")
        with Stack(folder=folder, app=app) as stack, stack.client() as client:
            pids = stack.pids
            demo = Demo(stack, client, console)
            outcome = demo.outcome
            try:
                console.moment("up", ", ".join(pids))
                demo.walk(sample)
            finally:
                ignore_signals()
    except (DemoError, ProcessError, StackRunningError, AzureError, httpx.HTTPError, OSError) as error:
        faults.append(str(error))
    except KeyboardInterrupt:
        faults.append("interrupted")
    left = [f"{name} ({pid})" for name, pid in pids.items() if _exists(pid)]
    if left:
        faults.append(f"processes are left: {', '.join(left)}")
    return outcome, faults


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _reply(answer: Any) -> str:
    """The text in what an Azure ML chat model answers: `{"output": text}`, or a list of those."""
    if isinstance(answer, list):
        return _reply(answer[0]) if answer else ""
    if isinstance(answer, dict):
        return _reply(answer.get("output", next(iter(answer.values()), "")))
    return str(answer)


def _first_exchange(sample: Path) -> tuple[list[dict[str, str]], str]:
    """The first question of a dataset and the answer that it has there."""
    messages: list[dict[str, str]] = json.loads(sample.read_bytes().split(b"\n", 1)[0])["messages"]
    turn = next(turn for turn, message in enumerate(messages) if message["role"] == "assistant")
    return messages[:turn], messages[turn]["content"]


if __name__ == "__main__":
    sys.exit(main())
