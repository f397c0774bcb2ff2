"""What the demo prints: each event with its time, in color on a terminal, plain in a pipe."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape

from finetune.cli.evaluation_rows import evaluation_rows, promotion_rows
from finetune.cli.safe_console import SafeConsole
from finetune.client import Report, Run

SHOWN_CHARACTERS = 280

MEANINGS = {
    "received": "the upload has arrived",
    "validated": "the dataset is checked, split and stored as a snapshot",
    "training": "a pipeline job runs on Azure ML",
    "trained": "the job completed; its metrics are read",
    "registered": "the model is in the workspace, with its lineage",
    "deploying": "Azure ML creates endpoint and deployment",
    "live": "smoke test and evaluation are done; the endpoint has all traffic",
    "deleting": "Azure ML deletes endpoint and deployment",
    "deleted": "Azure ML answers 404 for the endpoint",
}


class DemoConsole:
    """Writes to standard output; seconds are counted from when it was made."""

    def __init__(self) -> None:
        """Begin to count."""
        self._started = time.monotonic()
        # Lines are never broken: a pipe gets each fact on a line of its own.
        self._terminal = SafeConsole(soft_wrap=True)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started

    def title(self, text: str) -> None:
        """Open a part."""
        self._terminal.print(f"\n[bold cyan]{escape(text)}[/]")

    def stage(self, stage: str) -> None:
        """A run has come to a stage."""
        self.moment(stage, MEANINGS.get(stage, ""))

    def moment(self, what: str, meaning: str) -> None:
        """Something happened just now."""
        self._terminal.print(f"  {self.seconds:5.1f} s  [bold]{what:<11}[/] {escape(meaning)}")

    def dataset(self, report: Report) -> None:
        """What validation found."""
        self.title("What dataset validation found")
        self._terminal.print(f"  {report.verdict}: {escape(report.reason)}")
        for code, count in report.counts.items():
            first = next((issue for issue in report.issues if issue.code == code), None)
            example = f", e.g. line {first.line}: {escape(first.message)}" if first is not None else ""
            self._terminal.print(f"  {code} {count:,} times{example}", soft_wrap=True)

    def metrics(self, metrics: Mapping[str, float]) -> None:
        """What training measured."""
        self.title("What training measured")
        for name, value in sorted(metrics.items()):
            self._terminal.print(f"  {escape(name):<28} {value:.4g}")

    def smoke_tests(self, run: Run) -> None:
        """How the deployment answered before it got traffic."""
        self.title("Smoke test: held-out questions, before the deployment got traffic")
        self._terminal.print(
            "  A small stand-in model answers here: it shows the flow, not the quality of what Azure trains."
        )
        for test in run.smoke_test or ():
            self.exchange(test.prompt, test.reply, test.expected)

    def evaluation(self, run: Run) -> None:
        """What was measured before the deployment got traffic, and whose the dataset's name is."""
        for name, text in (*evaluation_rows(run.evaluation), *promotion_rows(run.promotion)):
            self._terminal.print(f"  {'':>7}  {name:<11} {escape(text)}")

    def exchange(self, messages: Sequence[Mapping[str, str]], reply: str, expected: str) -> None:
        """A question, the reply, and the answer that the data has."""
        lines = {"asked": messages[-1]["content"], "replied": reply, "expected": expected}
        for label, text in lines.items():
            self._terminal.print(f"  [dim]{label:>8}[/]  {escape(_shorten(text))}")
        self._terminal.print()

    def end(self, faults: Sequence[str], logs: Path) -> None:
        """How it ended."""
        for fault in faults:
            self._terminal.print(f"\n[bold red]The demo failed:[/] {escape(fault)}")
            self._terminal.print(f"The logs are in {escape(str(logs))}")
        if not faults:
            self._terminal.print(f"\n[bold green]Done[/] in {self.seconds:.1f} s; no process is left.")


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"
