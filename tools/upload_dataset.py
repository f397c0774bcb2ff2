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

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from shared.domain.dataset import Split, ValidationRules
from tools.dataset_source import Selection, SelectionError, Source, open_source
from tools.follow_run import FollowError, Outcome, follow_run
from tools.local_validation import save_report, show_report, validate_source
from tools.table_rows import SourceError
from tools.upload_arguments import OF_VALIDATION, OptionsError, parse_arguments, run_options
from tools.uploads import NameUnusableError, Uploaded, UploadError, blob_service, send_source, upload_path

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
    except (SourceError, UploadError, FollowError, OptionsError, OSError) as error:
        console.print(f"[bold red]error[/]: {escape(str(error))}", soft_wrap=True)
        return USAGE if isinstance(error, (SelectionError, NameUnusableError, OptionsError)) else UNREACHABLE
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
    splits = {split: name for split, name in names.items() if name}
    selection = Selection(splits, options.config, options.percent)
    with _progress(console) as shown, open_source(options.dataset, selection, shown) as source:
        name, of_run = options.name or source.name, run_options(options, source.options)
        upload_path(source, name, of_run)
        own = {option: of_run[option] for option in OF_VALIDATION if option in of_run}
        rules = msgspec.convert(
            {**msgspec.structs.asdict(ValidationRules(**options.rules)), **own}, ValidationRules
        )
        if not _passes(source, rules, options.report, console, shown):
            return UNFIT
        if target is None:
            return DONE
        service = blob_service(target.connection_string, target.account_url)
        with service:
            uploaded = send_source(
                service,
                source,
                name,
                of_run,
                replace=options.replace,
                sent=shown,
            )
    console.print(f"uploaded [bold]{escape(uploaded.path)}[/], run [bold]{uploaded.run_id}[/]")
    outcome = _follow(target, uploaded, console) if options.follow else None
    print(json.dumps({"run_id": uploaded.run_id, "path": uploaded.path, "stage": outcome and outcome.stage}))
    return DONE if outcome is None or outcome.went_live else NOT_LIVE


def _passes(
    source: Source,
    rules: ValidationRules,
    report_to: Path | None,
    console: Console,
    shown: Callable[[str, int, int], object],
) -> bool:
    """Check the dataset as the cloud will, and show what was found."""
    total = sum(file.path.stat().st_size for file in source.files.values())
    read = 0

    def advanced(count: int) -> None:
        nonlocal read
        read += count
        shown("check", read, total)

    report = validate_source(source, rules, advanced)
    if report_to:
        save_report(report, report_to)
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
