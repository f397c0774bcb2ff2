"""Runs from the terminal: list, show, follow, cancel, retry, extend, delete, chat.

Tables on a terminal, JSON when piped. Exit codes: 0 done; 1 the app said no; 2 a wrong command line;
3 the app cannot be reached; 4 the run did not go well, or nothing was done.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from tools.follow_run import PATIENCE_SECONDS
from tools.runs_client import RefusedError, Run, RunsClient, UnreachableError, connect
from tools.runs_view import run_details, runs_table, timeline, urgency, utc_now

DONE, REFUSED, USAGE, UNREACHABLE, NOT_WELL = range(5)
WELL = frozenset(("live", "deleted"))
OVER = frozenset(("stopped", "deleted", "rejected", "duplicate", "failed", "canceled"))
LOOK_SECONDS = 2.0


class Terminal:
    """What the commands share: the app, and where to show what it says."""

    def __init__(self, client: RunsClient, *, as_json: bool) -> None:
        """Take what commands need.

        Args:
            client: The app.
            as_json: Print JSON for programs instead of tables for people.
        """
        self.client = client
        self.as_json = as_json
        self.screen = Console(highlight=False)
        self.talk = Console(stderr=True, highlight=False)

    def list(self, options: argparse.Namespace) -> int:
        """Show the runs."""
        filters = {
            "stage": options.stage,
            "dataset": options.dataset,
            "attention": "true" if options.attention else None,
        }
        found = sorted(self.client.runs(**filters), key=urgency)
        shown = found[: options.limit]
        if self.as_json:
            self._print(shown)
        elif shown:
            self.screen.print(runs_table(shown, utc_now()))
        else:
            self.talk.print("no runs")
        if len(found) > len(shown):
            self.talk.print(f"… {len(found) - len(shown)} more (--limit)")
        return DONE

    def show(self, options: argparse.Namespace) -> int:
        """Show one run."""
        self._show(self.client.run(self.client.find(options.run)))
        return DONE

    def follow(self, options: argparse.Namespace) -> int:
        """Show a run's stages as it comes to them, until it is live or over."""
        run_id = self.client.find(options.run)
        return self._follow(run_id, lambda run: run["stage"] == "live")

    def cancel(self, options: argparse.Namespace) -> int:
        """Stop a run."""
        return self._end(options, "Cancel", self.client.find(options.run), self.client.cancel)

    def delete(self, options: argparse.Namespace) -> int:
        """Delete an endpoint."""
        run_id = self.client.find(options.run, serving=True)
        return self._end(options, "Delete the endpoint of", run_id, self.client.delete)

    def retry(self, options: argparse.Namespace) -> int:
        """Have a run looked at now."""
        self._show(self.client.retry(self.client.find(options.run)))
        return DONE

    def extend(self, options: argparse.Namespace) -> int:
        """Let an endpoint live longer."""
        self._show(self.client.extend(self.client.find(options.run, serving=True), options.hours))
        return DONE

    def chat(self, options: argparse.Namespace) -> int:
        """Talk with a live model: one question, a question a line from a pipe, or turn by turn."""
        run_id = self.client.find(options.run, serving=True)
        code = DONE
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
                reply = self._listen(self.client.chat(run_id, asked, parameters))
            except RefusedError as error:
                self.refuse(error)
                code = REFUSED
                continue
            messages = [*asked, {"role": "assistant", "content": reply}]
            if self.as_json:
                print(json.dumps({"message": question, "reply": reply}, ensure_ascii=False), flush=True)
        return code

    def refuse(self, error: RefusedError) -> None:
        """Say what the app did not do, and why."""
        self.talk.print(f"[bold red]{escape(error.code)}[/]: {escape(str(error))}", soft_wrap=True)

    def _listen(self, pieces: Iterator[str]) -> str:
        """Show a reply as it comes; returns all of it."""
        said = []
        try:
            for piece in pieces:
                said.append(piece)
                if not self.as_json:
                    self.screen.print(
                        piece, end="", style="blue", markup=False, highlight=False, soft_wrap=True
                    )
        finally:
            if not self.as_json:
                self.screen.print("" if "".join(said).strip() else "(no text)")
        return "".join(said)

    def _question(self) -> str | None:
        try:
            return self.talk.input("[bold]> [/]") if sys.stdin.isatty() else input()
        except EOFError:
            return None

    def _end(self, options: argparse.Namespace, what: str, run_id: str, ask: Callable[[str], Run]) -> int:
        if not options.yes:
            if not sys.stdin.isatty():
                self.talk.print(f"{what} {run_id}? There is nobody to ask: give --yes")
                return USAGE
            answer = self.talk.input(f"{what} [bold]{run_id}[/]? (y/N) ")
            if answer.strip().lower() not in {"y", "yes"}:
                self.talk.print("nothing was done")
                return NOT_WELL
        run = ask(run_id)
        if options.wait:
            self._follow(run_id, lambda _: False)
            return DONE
        self._show(run)
        return DONE

    def _follow(self, run_id: str, arrived: Callable[[Run], bool]) -> int:
        """Look until a run has arrived or is over; a JSON line for each stage where nobody watches."""
        told = 0
        run = self.client.run(run_id)
        watched = not self.as_json
        with Live(console=self.screen, auto_refresh=False) if watched else nullcontext() as live:
            while True:
                if isinstance(live, Live):
                    live.update(timeline(run, utc_now()), refresh=True)
                else:
                    for entry in run["history"][told:]:
                        print(json.dumps(entry), flush=True)
                    told = len(run["history"])
                if run["stage"] in OVER or arrived(run):
                    break
                time.sleep(LOOK_SECONDS)
                run = self._look(run_id)
        if run["error"]:
            self.talk.print(f"[red]{escape(run['error']['code'])}[/]: {escape(run['error']['message'])}")
        return DONE if run["stage"] in WELL else NOT_WELL

    def _look(self, run_id: str) -> Run:
        """The run as it is now; an app that is busy or away is asked again for a while."""
        silent_since = time.monotonic()
        while True:
            try:
                return self.client.run(run_id)
            except (RefusedError, UnreachableError) as error:
                if not error.retryable or time.monotonic() - silent_since > PATIENCE_SECONDS:
                    raise
            time.sleep(LOOK_SECONDS)

    def _show(self, run: Run) -> None:
        if self.as_json:
            self._print(run)
        else:
            self.screen.print(run_details(run, utc_now()))

    def _print(self, value: Any) -> None:
        print(json.dumps(value, indent=2, ensure_ascii=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Instead of the process's own.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        with connect(options.url, options.key) as client:
            terminal = Terminal(client, as_json=options.json or not sys.stdout.isatty())
            try:
                code: int = getattr(terminal, options.command)(options)
            except RefusedError as error:
                terminal.refuse(error)
                return REFUSED
            return code
    except UnreachableError as error:
        faults = Console(stderr=True, highlight=False)
        faults.print(f"[bold red]error[/]: {escape(str(error))}", soft_wrap=True)
        return UNREACHABLE
    except KeyboardInterrupt:
        return NOT_WELL


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", help="address of the function app (environment: FINETUNE_FUNCTIONS_URL)")
    common.add_argument("--key", help="its key (environment: FINETUNE_FUNCTION_KEY)")
    common.add_argument("--json", action="store_true", help="JSON on a terminal, too")
    parser = argparse.ArgumentParser(prog="python -m tools.runs", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, *, run: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, parents=[common])
        if run:
            added.add_argument(
                "run",
                help="a run's id, or a dataset: its newest run, or its live one to chat, extend, delete",
            )
        return added

    listing = command("list", "list runs, those that need a person first", run=False)
    listing.add_argument("--stage", help="only those in this stage")
    listing.add_argument("--dataset", help="only those of this dataset")
    listing.add_argument("--attention", action="store_true", help="only those that need a person")
    listing.add_argument("--limit", type=int, default=100, help="at most so many (default: %(default)s)")
    command("show", "show one run")
    command("follow", "watch a run until it is live or over")
    command("retry", "have a suspended or waiting run looked at again")
    for name, text in (("cancel", "stop a run"), ("delete", "delete a run's endpoint")):
        ending = command(name, text)
        ending.add_argument("--yes", action="store_true", help="do not ask; needed where nobody can be")
        ending.add_argument("--wait", action="store_true", help="until everything is seen to be gone")
    extending = command("extend", "let an endpoint live longer")
    extending.add_argument("--hours", type=float, required=True, help="hours to add")
    chatting = command("chat", "talk with a live model")
    chatting.add_argument("--message", help="ask this, and be done")
    chatting.add_argument("--system", help="system message")
    chatting.add_argument(
        "--temperature", type=float, help="0 for the likeliest words (default: the model's)"
    )
    chatting.add_argument("--max-tokens", type=int, default=200, help="of a reply (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
