# PYTHON_ARGCOMPLETE_OK
"""The command line of `finetune`."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import NoReturn

import argcomplete
from argcomplete.shell_integration import shellcode

from finetune.cli.target import add_app_arguments, connect
from finetune.cli.terminal import Exit, Terminal
from finetune.client import STAGES, AppError, RefusedError

NAME = "finetune"
CLOSED_PIPE = 141
"""What a shell makes of a program that SIGPIPE ended: 128 + 13."""
INTERRUPTED = 130
COMPLETION_SECONDS = 1.0

EPILOG = """\
A RUN is a run's id, or a dataset: its newest run, or its live one to chat, extend and delete.
A name that begins with a dash comes last, after two dashes: finetune show -- -x

A terminal gets tables; a pipe, or --json, gets the API's own objects.
Exit codes: 0 done; 1 the app refused, or the dataset is not fit for training; 2 wrong usage;
3 the app, the storage account or the dataset cannot be reached or read; 4 the run did not go well."""


class Parser(argparse.ArgumentParser):
    """Errors name the nearest spelling, and say how a name that begins with a dash is given."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        choices = [str(choice) for choice in action.choices or ()]
        if action.choices is None or value in action.choices:
            return
        close = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise argparse.ArgumentError(action, f"{value!r} is none of {', '.join(choices)}{hint}")

    def error(self, message: str) -> NoReturn:
        """End the process with code 2."""
        if "required: " in message or "unrecognized" in message:
            message += "\n(a name that begins with a dash comes last, after two dashes: -- -x)"
        self.exit(Exit.USAGE, f"{self.format_usage()}{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Instead of the process's own.

    Returns:
        The exit code.
    """
    parser = build_parser()
    argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    terminal = Terminal(as_json=getattr(options, "json", False))
    try:
        code = _run(options, terminal)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left. What is still buffered goes nowhere, without a second complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except KeyboardInterrupt:
        terminal.say("interrupted; what runs in the cloud goes on")
        return INTERRUPTED
    return int(code)


def _run(options: argparse.Namespace, terminal: Terminal) -> int:
    if options.command == "completion":
        # By position: Bandit takes `shell=` for a subprocess.
        print(shellcode([NAME], True, options.shell))
        return Exit.DONE
    try:
        if options.command in {"upload", "quote"}:
            return _upload(options, terminal)
        from finetune.cli.commands import Commands

        with connect(options) as client:
            commands = Commands(client, terminal)
            command: Callable[[argparse.Namespace], Exit] = getattr(commands, options.command)
            return command(options)
    except RefusedError as fault:
        terminal.error(fault)
        return Exit.REFUSED
    except AppError as fault:
        terminal.error(fault)
        return Exit.UNREACHABLE


def _upload(options: argparse.Namespace, terminal: Terminal) -> int:
    # These import Azure's SDK and pyarrow, for which no other command has to wait.
    from finetune.cli.upload import upload
    from finetune.cli.upload_arguments import OptionsError
    from finetune.dataset.sending import NameUnusableError, UploadError
    from finetune.dataset.source import SelectionError
    from finetune.dataset.table_rows import SourceError

    try:
        return upload(options, terminal)
    except (SelectionError, NameUnusableError, OptionsError) as fault:
        terminal.error(fault)
        return Exit.USAGE
    except (SourceError, UploadError, OSError) as fault:
        terminal.error(fault)
        return Exit.UNREACHABLE


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from finetune.cli.upload_arguments import add_upload_arguments, report_path

    parser = Parser(
        NAME,
        description="Fine-tune a chat model by uploading a dataset; follow its run, chat with it, delete it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("finetune-on-upload"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    def command(name: str, text: str, *, run: bool = True, json: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if run:
            named = added.add_argument("run", metavar="RUN", help="a run's id, or a dataset")
            named.completer = _known_runs  # type: ignore[attr-defined]
        if json:
            added.add_argument("--json", action="store_true", help="JSON on a terminal, too")
            add_app_arguments(added)
        return added

    add_upload_arguments(command("upload", "check a dataset and upload it, which starts a run", run=False))
    quoting = command("quote", "check a dataset and show what its run would take and cost", run=False)
    add_upload_arguments(quoting)
    quoting.set_defaults(quote=True)
    listing = command("runs", "list runs, those that need a person first", run=False)
    listing.add_argument("--stage", choices=STAGES, metavar="STAGE", help=f"one of {', '.join(STAGES)}")
    listing.add_argument("--dataset", help="only those of this dataset")
    listing.add_argument("--attention", action="store_true", help="only those that need a person")
    listing.add_argument("--limit", type=_count, default=100, help="at most so many (default: %(default)s)")
    ignoring = command("ignored", "list the uploads that open no run, with what to do about each", run=False)
    ignoring.add_argument("--limit", type=_count, default=100, help="at most so many (default: %(default)s)")
    for name, text in (
        ("show", "show one run"),
        ("follow", "watch a run until it is live or over"),
        ("retry", "have a suspended or waiting run advanced now"),
        ("acknowledge", "take note of how a run ended: it needs attention no longer"),
    ):
        command(name, text)
    saving = command("report", "show what dataset validation found, line by line")
    saving.add_argument(
        "--output", type=report_path, metavar="FILE", help="write it as .html or .json instead"
    )
    chatting = command("chat", "talk with a live model")
    chatting.add_argument("--message", help="ask this, and be done")
    chatting.add_argument("--system", help="system message")
    chatting.add_argument(
        "--temperature", type=float, help="0 for the likeliest words (default: the model's)"
    )
    chatting.add_argument("--max-tokens", type=_count, default=200, help="of a reply (default: %(default)s)")
    extending = command("extend", "let an endpoint live longer")
    extending.add_argument("--hours", type=float, required=True, help="hours to add")
    starting = command("start", "deploy the model of a stopped run again, without training")
    starting.add_argument("--instance-type", help="VM size (default: as it was, like the others)")
    starting.add_argument("--instance-count", type=_count, help="VMs")
    starting.add_argument("--lifetime-hours", type=float, help="hours from going live to being stopped")
    starting.add_argument("--idle-minutes", type=float, help="minutes without a request; 0 never")
    for name, text in (
        ("cancel", "stop a run; its job is stopped, and its endpoint deleted"),
        ("delete", "delete a run's endpoint; the registered model stays"),
    ):
        ending = command(name, text)
        ending.add_argument("--yes", action="store_true", help="do not ask; needed where nobody can be")
        ending.add_argument("--wait", action="store_true", help="until everything is seen to be gone")
    promoting = command("promote", "make a run's model the one that its dataset's name means")
    rolling = command("rollback", "go back to the model that a dataset's name meant before", run=False)
    rolling.add_argument("dataset", metavar="DATASET")
    for deciding in (promoting, rolling):
        deciding.add_argument("--why", default="", help="the reason, for the history")
    completion = command("completion", "print the shell's completion script", run=False, json=False)
    completion.add_argument(
        "shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish"
    )
    completion.epilog = f'For example, in ~/.bashrc: eval "$({NAME} completion bash)"'
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def _known_runs(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """Datasets and run ids, for the shell's completion; nothing if the app does not answer quickly."""
    try:
        with connect(parsed_args, patience_seconds=COMPLETION_SECONDS) as client:
            entries = list(client.runs())
    except AppError:
        return []
    return sorted({entry.dataset for entry in entries} | {entry.run_id for entry in entries})
