"""`make demo`: one dataset from upload to teardown, told as it happens.

It is a client like any other: a blob goes in, everything else is read from the HTTP API.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobClient
from rich.console import Console
from rich.markup import escape

from local.processes import ProcessError, wait_until
from local.settings import ROOT
from local.stack import FOLDER, Stack, StackRunningError, exit_on_termination, ignore_signals

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
OVER = {"deleted", "rejected", "duplicate", "failed", "canceled"}
EXPECTED_STAGES = ("received", "validated", "training", "trained", "registered", "deploying", "live")
STAGE_SECONDS = 90.0
SHOWN_CHARACTERS = 280
NEW_TOKENS = 120

MEANINGS = {
    "received": "the upload is known",
    "validated": "the dataset is checked, split and pinned",
    "training": "a pipeline job runs on Azure ML",
    "trained": "the job completed; its metrics are read",
    "registered": "the model is in the workspace, with its lineage",
    "deploying": "endpoint and deployment come up",
    "live": "smoke-tested, and taking all traffic",
    "deleting": "endpoint and deployment are taken away",
    "deleted": "Azure ML answers 404 for the endpoint",
}


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

    def __init__(self, stack: Stack, client: httpx.Client, console: Console, started: float) -> None:
        """Take what the walk needs.

        Args:
            stack: The running stack.
            client: Calls the app's HTTP API with its key.
            console: Where the story is told.
            started: `time.monotonic()` from which seconds are counted.
        """
        self.outcome = Outcome()
        self._stack = stack
        self._client = client
        self._console = console
        self._started = started

    def walk(self, sample: Path) -> None:
        """Upload, follow to `live`, show, chat, delete, follow to `deleted`.

        Raises:
            DemoError: A step did not happen.
        """
        self._upload(sample)
        run = self._follow({"live"})
        self._show_dataset(run)
        self._show_metrics(run)
        self._show_smoke_tests(run)
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
        self._title(f"Upload {sample.name}: {conversations} conversations, {len(rows) / 1024:.0f} KiB")
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
        self._title(f"Run {self.outcome.run_id}")

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
                self._stage(entry["stage"])
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

    def _show_dataset(self, run: Mapping[str, Any]) -> None:
        report = run.get("report") or {}
        rows = ", ".join(f"{count} {split}" for split, count in report.get("rows", {}).items())
        self._title("What the dataset gate found")
        self._say(f"  {report.get('verdict')}: {rows} rows; {escape(str(report.get('reason', '')))}")
        counts = report.get("counts") or {}
        if counts:
            self._say("  " + ", ".join(f"{count} {code}" for code, count in counts.items()))

    def _show_metrics(self, run: Mapping[str, Any]) -> None:
        metrics = run.get("metrics") or {}
        numbers = {**(metrics.get("latest") or {}), **metrics}
        self.outcome.metrics = {
            name: value for name, value in numbers.items() if isinstance(value, int | float)
        }
        if not self.outcome.metrics:
            raise DemoError("the run has no metrics")
        self._title("What training measured")
        for name, value in sorted(self.outcome.metrics.items()):
            self._say(f"  {escape(name):<28} {value:.4g}")

    def _show_smoke_tests(self, run: Mapping[str, Any]) -> None:
        self._title("Smoke test: held-out conversations, before the deployment got traffic")
        for test in run.get("smoke_test") or []:
            self._exchange(test["prompt"], test["reply"], test["expected"])

    def _chat(self, run: Mapping[str, Any], sample: Path) -> None:
        tests = run.get("smoke_test") or []
        messages, expected = (tests[0]["prompt"], tests[0]["expected"]) if tests else _first_row(sample)
        answer = self._client.post(
            f"/api/endpoints/{run['endpoint']['name']}/score",
            json={"messages": messages, "max_new_tokens": NEW_TOKENS},
        )
        if answer.status_code != 200:
            raise DemoError(f"scoring answered {answer.status_code}: {answer.text[:500]}")
        self.outcome.prompt = messages[-1]["content"]
        self.outcome.reply = _reply(answer.json())
        self.outcome.expected = expected
        self._title("Chat with it, over HTTP")
        self._exchange(messages, self.outcome.reply, expected)
        if not self.outcome.reply.strip():
            raise DemoError(f"the endpoint replied with nothing: {answer.text[:500]}")

    def _delete(self) -> None:
        self._title("Delete the endpoint, or the bill keeps running")
        answer = self._client.delete(f"/api/endpoints/{self.outcome.run_id}")
        if answer.status_code != 202:
            raise DemoError(f"deleting answered {answer.status_code}: {answer.text[:500]}")

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._client.get(path)
        if answer.status_code != 200:
            raise DemoError(f"GET {path} answered {answer.status_code}: {answer.text[:500]}")
        content: dict[str, Any] = answer.json()
        return content

    def _exchange(self, messages: Sequence[Mapping[str, str]], reply: str, expected: str) -> None:
        lines = {"asked": messages[-1]["content"], "replied": reply, "expected": expected}
        for label, text in lines.items():
            self._say(f"  [dim]{label:>8}[/]  {escape(_shorten(text))}")
        self._say("")

    def _title(self, text: str) -> None:
        self._say(f"\n[bold cyan]{escape(text)}[/]")

    def _stage(self, stage: str) -> None:
        self._say(f"  {self._seconds():5.1f} s  [bold]{stage:<11}[/] {MEANINGS.get(stage, '')}")

    def _say(self, text: str) -> None:
        self._console.print(text)

    def _seconds(self) -> float:
        return time.monotonic() - self._started


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
    options = parser.parse_args(arguments)
    exit_on_termination()
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    outcome, faults = _run(options.sample, options.folder.resolve(), console, started)
    outcome.seconds = round(time.monotonic() - started, 1)
    for fault in faults:
        console.print(f"\n[bold red]The demo failed:[/] {escape(fault)}")
        console.print(f"The logs are in {options.folder / 'logs'}")
    if not faults:
        console.print(f"\n[bold green]Done[/] in {outcome.seconds} s; no process is left.")
    print(outcome.as_json(), flush=True)
    return 1 if faults else 0


def _run(sample: Path, folder: Path, console: Console, started: float) -> tuple[Outcome, list[str]]:
    outcome, faults = Outcome(), []
    pids: dict[str, int] = {}
    try:
        console.print("Starting storage, Azure ML and the function app on this machine …")
        with Stack(folder=folder) as stack, stack.client() as client:
            pids = stack.pids
            demo = Demo(stack, client, console, started)
            outcome = demo.outcome
            try:
                console.print(f"  {time.monotonic() - started:5.1f} s  up: {', '.join(pids)}")
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


def _first_row(sample: Path) -> tuple[list[dict[str, str]], str]:
    messages: list[dict[str, str]] = json.loads(sample.read_bytes().split(b"\n", 1)[0])["messages"]
    return messages[:-1], messages[-1]["content"]


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"


if __name__ == "__main__":
    sys.exit(main())
