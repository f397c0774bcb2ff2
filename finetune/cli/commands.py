"""The commands about runs and endpoints; `upload` has a module of its own."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.markup import escape

from finetune.cli.run_tables import followed, run_details, runs_table, urgency, utc_now
from finetune.cli.terminal import Exit, Terminal
from finetune.client import AT_REST, ENDED, Client, RefusedError, Run, arrived_live, follow, reason_of
from finetune.client.types import Dataset
from finetune.dataset.validation import show_report

LOOK_SECONDS = 2.0
_WELL = frozenset({"live", "deleted"})
_START = ("instance_type", "instance_count", "lifetime_hours", "idle_minutes")
_CANCELS = "stops its job and deletes its endpoint; the upload, the report and a registered model stay"
_DELETES = "deletes its endpoint and what it costs; the registered model stays in Azure ML"


class Commands:
    """One method for each command; each returns the exit code."""

    def __init__(self, client: Client, terminal: Terminal) -> None:
        """Take the app, and where to write."""
        self._client = client
        self._terminal = terminal

    def runs(self, options: argparse.Namespace) -> Exit:
        """List runs."""
        filters = {"stage": options.stage, "dataset": options.dataset, "attention": options.attention}
        found = sorted(self._client.runs(**filters), key=urgency)
        shown = found[: options.limit]
        if self._terminal.as_json:
            self._terminal.json(shown)
        elif shown:
            self._terminal.screen.print(runs_table(shown, utc_now()), crop=False)
        else:
            filtered = options.stage or options.dataset or options.attention
            none = "No runs match." if filtered else "No runs yet: `finetune upload DATASET` starts one."
            self._terminal.say(none)
        if len(found) > len(shown):
            self._terminal.say(f"… {len(found) - len(shown)} more (--limit)")
        return Exit.DONE

    def ignored(self, options: argparse.Namespace) -> Exit:
        """List the uploads that open no run, each with its reason and a remedy."""
        found = self._client.ignored_uploads(limit=options.limit)
        if self._terminal.as_json:
            self._terminal.json(found.uploads)
        elif not found.uploads:
            self._terminal.say("Every upload opened its run.")
        for upload in () if self._terminal.as_json else found.uploads:
            words = f"{upload.detail} {upload.remedy}"
            self._terminal.screen.print(f"[bold]{escape(upload.path)}[/]\n  {escape(words)}")
        if found.more:
            self._terminal.say(f"… {found.more} more (--limit)")
        return Exit.DONE

    def show(self, options: argparse.Namespace) -> Exit:
        """Show one run."""
        return self._show(self._client.run(self._client.find(options.run)))

    def follow(self, options: argparse.Namespace) -> Exit:
        """Show a run's stages as it comes to them, until it is live or over."""
        return self._follow(self._client.find(options.run), arrived_live)

    def report(self, options: argparse.Namespace) -> Exit:
        """Show what dataset validation found, or save it as a page or as JSON."""
        run_id = self._client.find(options.run)
        output: Path | None = options.output
        if output is None and not self._terminal.as_json:
            rest = f"`finetune report {run_id} --output report.html` has the first of each code"
            show_report(self._client.report(run_id), self._terminal.screen, rest=rest)
            return Exit.DONE
        if output is None:
            self._terminal.json(self._client.report(run_id).raw)
            return Exit.DONE
        if output.suffix.lower() == ".html":
            output.write_bytes(self._client.report_page(run_id))
        else:
            save_json(self._client.report(run_id).raw, output)
        self._terminal.say(f"report of {run_id} written to {escape(str(output))}")
        return Exit.DONE

    def promote(self, options: argparse.Namespace) -> Exit:
        """Make a run's model the current one of its dataset."""
        run = self._client.run(self._client.find(options.run))
        return self._switched(
            self._client.promote(run.dataset, run.run_id, by=getpass.getuser(), why=options.why)
        )

    def rollback(self, options: argparse.Namespace) -> Exit:
        """Go back to the model that a dataset's name meant before."""
        return self._switched(self._client.roll_back(options.dataset, by=getpass.getuser(), why=options.why))

    def _switched(self, dataset: Dataset) -> Exit:
        if self._terminal.as_json:
            self._terminal.json(dataset)
        else:
            self._terminal.say(f"{dataset.dataset} means the model of {dataset.current} now.")
        return Exit.DONE

    def cancel(self, options: argparse.Namespace) -> Exit:
        """Stop a run."""
        return self._end(options, "Cancel", _CANCELS, self._client.find(options.run), self._client.cancel)

    def delete(self, options: argparse.Namespace) -> Exit:
        """Delete an endpoint."""
        run_id = self._client.find(options.run, serving=True)
        return self._end(options, "Delete the endpoint of", _DELETES, run_id, self._client.delete)

    def retry(self, options: argparse.Namespace) -> Exit:
        """Have a run advanced now."""
        run = self._client.retry(self._client.find(options.run))
        if run is None:
            self._terminal.say("The app will try again; the run's record cannot be read yet.")
            return Exit.DONE
        return self._show(run)

    def acknowledge(self, options: argparse.Namespace) -> Exit:
        """Take note of how a run ended."""
        run = self._client.acknowledge(self._client.find(options.run))
        if self._terminal.as_json:
            self._terminal.json(run)
        else:
            self._terminal.say(f"Acknowledged: {run.run_id} is {run.stage}, and needs attention no longer.")
        return Exit.DONE

    def start(self, options: argparse.Namespace) -> Exit:
        """Deploy the model of a stopped run again."""
        chosen = {name: getattr(options, name) for name in _START}
        return self._show(self._client.start(self._client.find(options.run), **chosen))

    def extend(self, options: argparse.Namespace) -> Exit:
        """Let an endpoint live longer."""
        return self._show(self._client.extend(self._client.find(options.run, serving=True), options.hours))

    def chat(self, options: argparse.Namespace) -> Exit:
        """Talk with a live model: one question, a question a line from a pipe, or turn by turn."""
        run_id = self._client.find(options.run, serving=True)
        code = Exit.DONE
        messages = [{"role": "system", "content": options.system}] if options.system else []
        parameters: dict[str, Any] = {"max_new_tokens": options.max_tokens}
        if options.temperature is not None:
            parameters |= {"do_sample": options.temperature > 0, "temperature": options.temperature}
        questions = iter([options.message]) if options.message else iter(self._question, None)
        for question in questions:
            if not question.strip():
                continue
            asked = [*messages, {"role": "user", "content": question}]
            try:
                reply = self._listen(self._client.chat(run_id, asked, parameters))
            except RefusedError as error:
                self._terminal.error(error)
                code = Exit.REFUSED
                continue
            messages = [*asked, {"role": "assistant", "content": reply}]
            if self._terminal.as_json:
                self._terminal.json({"message": question, "reply": reply}, indent=0)
        return code

    def _listen(self, pieces: Iterator[str]) -> str:
        """Show a reply as it comes; returns all of it."""
        said = []
        try:
            for piece in pieces:
                said.append(piece)
                if not self._terminal.as_json:
                    self._terminal.screen.print(
                        piece, end="", style="blue", markup=False, highlight=False, soft_wrap=True
                    )
        finally:
            if not self._terminal.as_json:
                self._terminal.screen.print("" if "".join(said).strip() else "(no text)")
        return "".join(said)

    def _question(self) -> str | None:
        try:
            return self._terminal.talk.input("[bold]> [/]") if sys.stdin.isatty() else input()
        except EOFError:
            return None

    def _end(
        self, options: argparse.Namespace, what: str, means: str, run_id: str, ask: Callable[[str], Run]
    ) -> Exit:
        if not options.yes:
            agreed = self._terminal.ask(f"{what} [bold]{run_id}[/]? This {means}.")
            if agreed is None:
                self._terminal.say(f"{what} {run_id}? This {means}. There is nobody to ask: give --yes")
                return Exit.USAGE
            if not agreed:
                self._terminal.say("Nothing was done.")
                return Exit.NOT_WELL
        run = ask(run_id)
        if options.wait:
            self._follow(run_id, lambda _: False, ends=ENDED)
            return Exit.DONE
        if self._terminal.as_json:
            self._terminal.json(run)
        self._terminal.say(
            f"Accepted: the app {means}. {run_id} is {run.stage} now;"
            f" `finetune follow {run_id}` shows how it ends, and --wait waits for it."
        )
        return Exit.DONE

    def _follow(self, run_id: str, until: Callable[[Run], bool], *, ends: Collection[str] = AT_REST) -> Exit:
        run = watch(self._client, self._terminal, run_id, until, ends=ends)
        well = run.stage in _WELL or (run.stage == "stopped" and run.error is None)
        if not well and (reason := reason_of(run)):
            self._terminal.say(f"[red]{run.stage}[/]: {escape(reason)}")
        return Exit.DONE if well else Exit.NOT_WELL

    def _show(self, run: Run) -> Exit:
        if self._terminal.as_json:
            self._terminal.json(run)
        else:
            self._terminal.screen.print(run_details(run, utc_now()), crop=False)
        return Exit.DONE


def watch(
    client: Client,
    terminal: Terminal,
    run_id: str,
    until: Callable[[Run], bool],
    *,
    ends: Collection[str] = AT_REST,
    appears: bool = False,
) -> Run:
    """Show a run's stages until it is where one waits for; a line of JSON for each where nobody watches.

    Args:
        client: The app.
        terminal: Where to write.
        run_id: The run.
        until: Where to stop besides.
        ends: Stages in which nothing more is waited for.
        appears: Whether the run may not be there yet.

    Returns:
        The run as it was seen last.
    """
    told = 0
    looks = follow(
        client,
        run_id,
        until=until,
        ends=ends,
        appears=appears,
        every_seconds=LOOK_SECONDS,
        trouble=terminal.trouble,
    )
    last: Run
    if terminal.as_json:
        for last in looks:
            for entry in last.history[told:]:
                terminal.json(entry, indent=0)
            told = len(last.history)
        return last
    with Live(console=terminal.screen, auto_refresh=False) as live:
        for last in looks:
            live.update(followed(last, utc_now()), refresh=True)
    return last


def save_json(report: dict[str, Any], path: Path) -> None:
    """Write a report as JSON."""
    import msgspec

    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
