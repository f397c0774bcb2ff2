"""The demo's second act: a model takes its dataset's name, and one trained on shuffled answers does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from azure.storage.blob import ContainerClient

from finetune.client import Client, Run, follow
from local.console import DemoConsole
from local.processes import wait_until

DATASET = "kitchen"
ROWS, TESTED = 60, 20
LOOK_SECONDS = 0.2
STAGE_SECONDS = 120.0


class ComparisonError(Exception):
    """Something that the second act shows did not happen; the message says what."""


class Comparison:
    """Two uploads of one dataset with the same test rows, and what its name means after each."""

    def __init__(self, uploads: ContainerClient, client: Client, console: DemoConsole) -> None:
        """Take what the act needs."""
        self._uploads = uploads
        self._client = client
        self._console = console

    def act(self, sample: Path) -> None:
        """Train on a sample, then on the same questions with each other's answers.

        Raises:
            ComparisonError: The first model did not take the name, or the second one did.
        """
        exchanges = _exchanges(sample)
        questions, answers = [one[0] for one in exchanges], [one[1] for one in exchanges]
        asked = [f"One more time, please. {question}" for question in questions[:TESTED]]
        self._put("run.json", json.dumps({"settle_seconds": 0}).encode())
        self._put("test.jsonl", _rows(asked, answers))
        good = self._train("A model of a dataset with its own test rows", questions, answers)
        self._expect(good, promoted=True)
        shuffled = [*answers[1:], answers[0]]
        bad = self._train("The same questions again, with each other's answers", questions, shuffled)
        self._expect(bad, promoted=False)
        current = self._client.dataset(DATASET).current
        if current != good.run_id:
            raise ComparisonError(f"the name {DATASET} means {current} instead of {good.run_id}")
        self._console.title(f"{DATASET} still means {good.run_id}; the worse model answers by its own name")
        for run in (good, bad):
            reply = "".join(self._client.chat(run.run_id, [{"role": "user", "content": asked[0]}], {}))
            self._console.exchange([{"role": "user", "content": asked[0]}], reply, answers[0])
            self._client.delete(run.run_id)

    def _train(self, title: str, questions: list[str], answers: list[str]) -> Run:
        self._console.title(title)
        known = {entry.run_id for entry in self._client.runs(dataset=DATASET)}
        self._put("train.jsonl", _rows(questions, answers))
        run_id = self._opened(known)
        looks = follow(
            self._client,
            run_id,
            until=lambda run: run.stage == "live",
            every_seconds=LOOK_SECONDS,
            patience_seconds=STAGE_SECONDS,
        )
        told = 0
        for run in looks:
            for entry in run.history[told:]:
                self._console.stage(entry.stage)
            told = len(run.history)
        if run.stage != "live":
            raise ComparisonError(f"{run_id} ended as {run.stage}: {run.error and run.error.message}")
        return run

    def _opened(self, known: set[str]) -> str:
        opened: list[str] = []

        def found() -> bool:
            opened[:] = {entry.run_id for entry in self._client.runs(dataset=DATASET)} - known
            return bool(opened)

        if not wait_until(found, STAGE_SECONDS):
            raise ComparisonError(f"no run was opened for {DATASET}/train.jsonl")
        return opened[0]

    def _expect(self, run: Run, *, promoted: bool) -> None:
        self._console.evaluation(run)
        if run.promotion is None or run.promotion.promoted is not promoted:
            raise ComparisonError(f"{run.run_id} was to be promoted: {promoted}; it says {run.promotion}")

    def _put(self, name: str, body: bytes) -> None:
        self._uploads.upload_blob(f"{DATASET}/{name}", body, overwrite=True)


def _exchanges(sample: Path) -> list[tuple[str, str]]:
    """The first question and answer of each conversation, the distinct ones."""
    found: dict[str, str] = {}
    for line in sample.read_bytes().splitlines():
        turns: list[dict[str, Any]] = [
            turn for turn in json.loads(line)["messages"] if turn["role"] != "system"
        ]
        found.setdefault(turns[0]["content"], turns[1]["content"])
    return list(found.items())[:ROWS]


def _rows(questions: list[str], answers: list[str]) -> bytes:
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]
            }
        )
        for question, answer in zip(questions, answers, strict=False)
    ]
    return "\n".join(lines).encode() + b"\n"
