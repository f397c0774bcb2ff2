"""`make dev`: the stack in the foreground, for people.

What runs and was uploaded is kept in `.local/`, and so is the key, unless `--fresh` is given. Settings of the
app are taken from the environment and from `.env`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from finetune.client import AppError, Client
from local.event_grid import add_troubles, switches
from local.kept import is_free
from local.next_steps import next_steps
from local.own_settings import own_settings
from local.processes import ProcessError, exit_on_termination, ignore_signals, wait_until
from local.settings import ROOT
from local.stack import FOLDER, Stack, StackRunningError

DEFAULT_PORT = 7071


def main(arguments: list[str] | None = None) -> int:
    """Run the stack until a signal, or until a part of it dies.

    Returns:
        0 after Ctrl-C; 1 if it cannot be started, or the app's settings are at fault.
    """
    options = _parse(arguments)
    exit_on_termination()
    given = own_settings(os.environ, ROOT / ".env")
    for complaint in given.complaints:
        print(complaint, file=sys.stderr)
    print("Starting storage, Azure ML and the function app …", flush=True)
    stack = Stack(
        folder=options.folder.resolve(),
        host=options.host,
        pace=options.pace,
        port=options.port if options.port is not None else _default_port(),
        settings=given.values,
        keep=True,
        fresh=options.fresh,
        events=switches(options),
    )
    try:
        with stack:
            try:
                if fault := fault_of(stack):
                    print(f"The app is misconfigured. {fault}", file=sys.stderr)
                    print("Change it in the environment or in .env, and start again.", file=sys.stderr)
                    return 1
                print(next_steps(stack, given.values), flush=True)
                wait_until(lambda: bool(stack.ended), float("inf"))
                print(f"ended unexpectedly: {', '.join(stack.ended)}", file=sys.stderr)
            finally:
                ignore_signals()
    except (StackRunningError, ProcessError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped. `make dev` goes on with the same runs and key, `make dev ARGS=--fresh` without.")
        return 0
    return 1


def fault_of(stack: Stack) -> str | None:
    """What the app says is wrong with its settings, if anything is."""
    with Client(stack.functions_url, stack.function_key) as client:
        try:
            client.check()
        except AppError as fault:
            return str(fault)
    return None


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "make dev ARGS=…", description="Run storage, Azure ML and the function app on this machine."
    )
    parser.add_argument("--fresh", action="store_true", help="forget the runs, uploads and key of last time")
    parser.add_argument(
        "--host",
        choices=["auto", "local", "func"],
        default="auto",
        help="function host (default: func if installed)",
    )
    parser.add_argument(
        "--pace",
        choices=["instant", "fast", "timed"],
        default="fast",
        help="of Azure ML (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, help=f"of the function host (default: {DEFAULT_PORT}, or a free one)"
    )
    add_troubles(parser)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for everything (default: %(default)s)")
    return parser.parse_args(arguments)


def _default_port() -> int:
    return DEFAULT_PORT if is_free(DEFAULT_PORT) else 0


if __name__ == "__main__":
    sys.exit(main())
