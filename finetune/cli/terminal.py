"""What commands share: exit codes, and where they write."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Any

import msgspec
from rich.markup import escape

from finetune.cli.safe_console import SafeConsole, shown_json
from finetune.client import AppError, RefusedError


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    REFUSED = 1
    """The app said no, or the dataset is not fit for training."""
    USAGE = 2
    UNREACHABLE = 3
    """The app, the storage account or the dataset cannot be reached or read."""
    NOT_WELL = 4
    """The run did not go well, or nothing was done."""


class Terminal:
    """Tables for people on a terminal, JSON for programs in a pipe; what is no result goes to stderr."""

    def __init__(self, *, as_json: bool) -> None:
        """Write JSON if `as_json`, or if standard output is no terminal."""
        self.as_json = as_json or not sys.stdout.isatty()
        self.screen = SafeConsole()
        self.talk = SafeConsole(stderr=True)

    def json(self, value: Any, *, indent: int = 2) -> None:
        """Print a result as JSON; on one line if `indent` is 0."""
        encoded = msgspec.json.encode(value)
        text = (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()
        print(shown_json(text), flush=True)

    def say(self, text: str) -> None:
        """Tell people something; `text` may have markup."""
        self.talk.print(text, soft_wrap=True)

    def error(self, fault: Exception) -> None:
        """Say what went wrong."""
        code = fault.code if isinstance(fault, RefusedError) else "error"
        self.say(f"[bold red]{escape(code)}[/]: {escape(str(fault))}")

    def trouble(self, fault: AppError) -> None:
        """Say what is wrong with an app that is asked again."""
        self.say(f"[yellow]{escape(str(fault))}[/]; asking again")

    def ask(self, question: str) -> bool | None:
        """Whether a person says yes; None where nobody can be asked."""
        if not sys.stdin.isatty():
            return None
        return self.talk.input(f"{question} (y/N) ").strip().lower() in {"y", "yes"}
