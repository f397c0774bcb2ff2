"""`make demo`: one dataset from upload to teardown, told as it happens.

It is a client like any other: a blob goes in, everything else is read from the HTTP API.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobClient, ContainerClient

from finetune.client import AppError, Client, Run, follow
from local.compare import Comparison, ComparisonError
from local.console import DemoConsole
from local.processes import ProcessError, exit_on_termination, ignore_signals, wait_until
from local.settings import ROOT
from local.stack import FOLDER, Stack, StackRunningError

SAMPLE = ROOT / "local" / "samples" / "ultrachat-sample.jsonl"
EXPECTED_STAGES = ("received", "validated", "training", "trained", "registered", "deploying", "live")
STAGE_SECONDS = 90.0
LOOK_SECONDS = 0.2
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

    def __init__(self, stack: Stack, client: Client, console: DemoConsole) -> None:
        """Take what the walk needs.

        Args:
            stack: The running stack.
            client: Calls the app.
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
        run = self._follow("live")
        self._console.dataset(self._client.report(run.run_id))
        self._keep_metrics(run)
        self._console.metrics(self.outcome.metrics)
        self._console.smoke_tests(run)
        self._console.evaluation(run)
        self._chat(run, sample)
        self._delete()
        self._follow("deleted")
        self.outcome.deleted = True
        missing = [stage for stage in EXPECTED_STAGES if stage not in self.outcome.stages]
        if missing:
            raise DemoError(f"the run never was {', '.join(missing)}")

    def compare(self, sample: Path) -> None:
        """The second act.

        Raises:
            ComparisonError: A step did not happen.
        """
        with ContainerClient.from_connection_string(self._stack.blob_connection_string, "uploads") as uploads:
            Comparison(uploads, self._client, self._console).act(sample)

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
            opened = next(self._client.runs(dataset=sample.stem), None)
            if opened is not None:
                self.outcome.run_id = opened.run_id
            return opened is not None

        if not wait_until(found, STAGE_SECONDS):
            raise DemoError("no run was opened for the upload")
        self._console.title(f"Run {self.outcome.run_id}")

    def _follow(self, goal: str) -> Run:
        """Print each stage as the run comes to it, until it is where it should be.

        Raises:
            DemoError: The run ended somewhere else, or stood still for too long.
        """
        deadline = time.monotonic() + STAGE_SECONDS
        looks = follow(
            self._client,
            self.outcome.run_id,
            until=lambda run: run.stage == goal,
            every_seconds=LOOK_SECONDS,
            patience_seconds=STAGE_SECONDS,
        )
        for run in looks:
            for entry in run.history[len(self.outcome.stages) :]:
                self.outcome.stages.append(entry.stage)
                deadline = time.monotonic() + STAGE_SECONDS
                self._console.stage(entry.stage)
            if run.stage == goal:
                return run
            if time.monotonic() > deadline:
                raise DemoError(f"the run stayed {run.stage} for {STAGE_SECONDS:g} s")
        why = run.error.message if run.error else "no error on the run"
        raise DemoError(f"the run ended as {run.stage}: {why}")

    def _keep_metrics(self, run: Run) -> None:
        if run.metrics is None:
            raise DemoError("the run has no metrics")
        losses = {"train_loss": run.metrics.train_loss, "eval_loss": run.metrics.eval_loss}
        known = {name: value for name, value in losses.items() if value is not None}
        self.outcome.metrics = {**run.metrics.latest, **known}

    def _chat(self, run: Run, sample: Path) -> None:
        # A question of the upload's own: training is seen to have changed what the endpoint says.
        messages, self.outcome.expected = _first_exchange(sample)
        reply = "".join(self._client.chat(run.run_id, messages, {"max_new_tokens": NEW_TOKENS}))
        self.outcome.prompt = messages[-1]["content"]
        self.outcome.reply = reply
        self._console.title("Chat with it, over HTTP: a question from the upload")
        self._console.exchange(messages, reply, self.outcome.expected)
        if not reply.strip():
            raise DemoError("the endpoint replied with nothing")

    def _delete(self) -> None:
        self._console.title("Delete the endpoint, or the bill keeps running")
        self._client.delete(self.outcome.run_id)


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
    parser.add_argument(
        "--compare",
        action="store_true",
        help="a second act: a worse model of a dataset does not take its name",
    )
    options = parser.parse_args(arguments)
    exit_on_termination()
    console = DemoConsole()
    outcome, faults = _run(options, console)
    outcome.seconds = round(console.seconds, 1)
    console.end(faults, options.folder / "logs")
    print(outcome.as_json(), flush=True)
    return 1 if faults else 0


def _run(options: argparse.Namespace, console: DemoConsole) -> tuple[Outcome, list[str]]:
    app, folder = options.app.resolve(), options.folder.resolve()
    outcome, faults = Outcome(), []
    pids: dict[str, int] = {}
    try:
        console.title("Start storage, Azure ML and the function app on this machine")
        with (
            Stack(folder=folder, app=app) as stack,
            Client(stack.functions_url, stack.function_key) as client,
        ):
            pids = stack.pids
            demo = Demo(stack, client, console)
            outcome = demo.outcome
            try:
                console.moment("up", ", ".join(pids))
                demo.walk(options.sample)
                if options.compare:
                    demo.compare(options.sample)
            finally:
                ignore_signals()
    except (
        DemoError,
        ComparisonError,
        AppError,
        ProcessError,
        StackRunningError,
        AzureError,
        OSError,
    ) as error:
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


def _first_exchange(sample: Path) -> tuple[list[dict[str, str]], str]:
    """The first question of a dataset and the answer that it has there."""
    messages: list[dict[str, str]] = json.loads(sample.read_bytes().split(b"\n", 1)[0])["messages"]
    turn = next(turn for turn, message in enumerate(messages) if message["role"] == "assistant")
    return messages[:turn], messages[turn]["content"]


if __name__ == "__main__":
    sys.exit(main())
