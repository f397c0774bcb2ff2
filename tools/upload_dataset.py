"""Check a dataset and upload it, which starts a fine-tuning run: `python -m tools.upload_dataset --help`.

Exit codes: 0 done, 1 the dataset is not fit for training, 2 wrong usage, 3 it could not be read, sent or
watched, 4 the run ended without going live.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from shared.domain.dataset import GateRules, RowPolicy, Split
from tools.dataset_source import Selection, Source, SourceError, open_source
from tools.follow_run import FollowError, Outcome, follow_run
from tools.local_check import check_source, save_report, show_report
from tools.upload_arguments import parse_arguments, run_options
from tools.uploads import Uploaded, UploadError, blob_service, send_source

DONE, UNFIT, USAGE, UNREACHABLE, NOT_LIVE = range(5)
STACK = Path(".local") / "stack.json"


class Target(NamedTuple):
    """Where to send the dataset and whom to ask about its run."""

    connection_string: str | None
    account_url: str | None
    functions_url: str | None
    function_key: str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Instead of the process's own.

    Returns:
        The exit code.
    """
    options = parse_arguments(arguments)
    console = Console(stderr=True, highlight=False)
    try:
        return _run(options, console)
    except (SourceError, UploadError, FollowError) as error:
        console.print(f"[bold red]error[/]: {escape(str(error))}", soft_wrap=True)
        return UNREACHABLE
    except KeyboardInterrupt:
        console.print("interrupted; a run that was started goes on")
        return UNREACHABLE


def _run(options: argparse.Namespace, console: Console) -> int:
    target = None if options.check_only else _target(options)
    names = {
        Split.TRAIN: options.split,
        Split.VALIDATION: options.validation_split,
        Split.TEST: options.test_split,
    }
    selection = Selection({split: name for split, name in names.items() if name}, options.percent)
    with _progress(console) as shown, open_source(options.dataset, selection, shown) as source:
        if not _passes(source, options, console, shown):
            return UNFIT
        if target is None:
            return DONE
        service = blob_service(target.connection_string, target.account_url)
        with service:
            uploaded = send_source(
                service,
                source,
                options.name or source.name,
                run_options(options),
                replace=options.replace,
                sent=shown,
            )
    console.print(f"uploaded [bold]{escape(uploaded.path)}[/], run [bold]{uploaded.run_id}[/]")
    outcome = _follow(target, uploaded, console) if options.follow else None
    print(json.dumps({"run_id": uploaded.run_id, "path": uploaded.path, "stage": outcome and outcome.stage}))
    return DONE if outcome is None or outcome.went_live else NOT_LIVE


def _passes(
    source: Source, options: argparse.Namespace, console: Console, shown: Callable[[str, int, int], object]
) -> bool:
    """Check the dataset as the cloud will, and show what was found."""
    total = sum(path.stat().st_size for path in source.files.values())
    read = 0

    def advanced(count: int) -> None:
        nonlocal read
        read += count
        shown("check", read, total)

    rules = GateRules(row_policy=RowPolicy(options.row_policy or RowPolicy.STRICT), **options.rules)
    report = check_source(source, rules, advanced)
    if options.report:
        save_report(report, options.report)
    show_report(report, console)
    return report.accepted


def _follow(target: Target, uploaded: Uploaded, console: Console) -> Outcome:
    outcome = follow_run(
        target.functions_url or "",
        target.function_key or "",
        uploaded.run_id,
        lambda entry: console.print(f"  {entry.at[:19].replace('T', ' ')}  {entry.stage}"),
    )
    if not outcome.went_live:
        console.print(f"[bold red]{outcome.stage}[/]: {escape(outcome.reason or 'no reason was given')}")
    return outcome


def _target(options: argparse.Namespace) -> Target:
    """Flags first, then the environment, then the local stack if one runs.

    Raises:
        UploadError: Nothing says where the storage account or, to follow a run, the function app is.
    """
    stack: dict[str, Any] = json.loads(STACK.read_text()) if STACK.exists() else {}
    given = options.connection_string or options.account_url
    target = Target(
        options.connection_string or (None if given else stack.get("blob_connection_string")),
        options.account_url,
        options.functions_url or stack.get("functions_url"),
        options.function_key or os.environ.get("FINETUNE_FUNCTION_KEY") or stack.get("function_key"),
    )
    if not target.connection_string and not target.account_url:
        raise UploadError(
            "no storage account: give --account-url or --connection-string, or start a local one (make dev)"
        )
    if options.follow and not (target.functions_url and target.function_key):
        raise UploadError("to follow a run, give --functions-url and --function-key")
    return target


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def shown(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(escape(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield shown


if __name__ == "__main__":
    sys.exit(main())
