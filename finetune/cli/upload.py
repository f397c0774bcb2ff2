"""`finetune upload`: check a dataset and upload it, which starts a fine-tuning run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from finetune.cli.commands import watch
from finetune.cli.option_checks import check_options
from finetune.cli.run_tables import estimate_rows
from finetune.cli.target import STORAGE_SETTING, Storage, connect, storage
from finetune.cli.terminal import Exit, Terminal
from finetune.cli.upload_arguments import run_options, validation_rules
from finetune.client import Client, reason_of, went_live
from finetune.dataset.sending import Uploaded, UploadError, blob_service, send_source, upload_path
from finetune.dataset.source import Selection, Source, open_source
from finetune.dataset.validation import public_report, save_report, show_report, validate_source
from shared.domain.dataset import DatasetReport, Split, ValidationRules

Shown = Callable[[str, int, int], None]


class Result(NamedTuple):
    """What a program learns from an upload; `stage` is None unless the run was followed."""

    run_id: str
    path: str
    stage: str | None


def upload(options: argparse.Namespace, terminal: Terminal) -> Exit:
    """Check, send, and follow if that is asked for.

    Raises:
        SourceError: The dataset cannot be read.
        OptionsError: The cloud would refuse an option.
        UploadError: There is no storage account, or it refuses.
        AppError: The run cannot be followed.
    """
    target = None if options.check_only or options.quote else _storage(options)
    with ExitStack() as closed_at_the_end:
        client: Client | None = None
        if options.follow and target is not None:
            client = closed_at_the_end.enter_context(connect(options))
            client.check()  # a wrong key or setting is told before a byte is sent
        sent = _check_and_send(options, target, terminal)
        if isinstance(sent, Exit):
            return sent
        terminal.say(f"uploaded [bold]{escape(sent.path)}[/], run [bold]{sent.run_id}[/]")
        return _without_following(sent, terminal) if client is None else _follow(sent, client, terminal)


def _check_and_send(
    options: argparse.Namespace, target: Storage | None, terminal: Terminal
) -> Uploaded | Exit:
    """What was sent, or how it ended if nothing was."""
    validation_rules(options)  # what is wrong with it is told before anything is read
    with _progress(terminal) as shown, open_source(options.dataset, _selection(options), shown) as source:
        name, of_run = options.name or source.name, run_options(options, source.options)
        upload_path(source, name, of_run)
        rules = check_options(options, of_run, terminal)
        report = _check(source, rules, options, terminal, shown)
        if not report.accepted:
            return Exit.REFUSED
        if options.quote:
            return _quote(options, report, of_run, terminal)
        if target is None:
            return Exit.DONE
        with blob_service(target.connection_string, target.account_url) as service:
            return send_source(service, source, name, of_run, replace=options.replace, sent=shown)


def _quote(
    options: argparse.Namespace, report: DatasetReport, of_run: dict[str, Any], terminal: Terminal
) -> Exit:
    """Show what a run of this dataset would take and cost; refused is what it may not cost."""
    rows = {split: summary.rows for split, summary in report.splits.items()}
    with connect(options) as client:
        estimate = client.quote(report.tokens.total, sum(rows.values()), rows.get(Split.TRAIN, 0), of_run)
    if terminal.as_json:
        terminal.json(estimate)
    else:
        for name, value in estimate_rows(estimate):
            terminal.screen.print(f"[dim]{name:<11}[/] {escape(value)}", soft_wrap=True)
    return Exit.DONE if estimate.refusal is None else Exit.REFUSED


def _without_following(sent: Uploaded, terminal: Terminal) -> Exit:
    if terminal.as_json:
        terminal.json(Result(sent.run_id, sent.path, None)._asdict(), indent=0)
    else:
        terminal.say(f"`finetune follow {sent.run_id}` shows how it goes.")
    return Exit.DONE


def _follow(sent: Uploaded, client: Client, terminal: Terminal) -> Exit:
    run = watch(client, terminal, sent.run_id, went_live, appears=True)
    if not went_live(run):
        terminal.say(f"[bold red]{run.stage}[/]: {escape(reason_of(run) or 'no reason was given')}")
    elif not terminal.as_json:
        terminal.say(f"`finetune chat {sent.run_id}` talks with it.")
    if terminal.as_json:
        terminal.json(Result(sent.run_id, sent.path, run.stage)._asdict(), indent=0)
    return Exit.DONE if went_live(run) else Exit.NOT_WELL


def _selection(options: argparse.Namespace) -> Selection:
    names = {
        Split.TRAIN: options.split,
        Split.VALIDATION: options.validation_split,
        Split.TEST: options.test_split,
    }
    splits = {split: name for split, name in names.items() if name}
    return Selection(splits, options.config, options.percent)


def _check(
    source: Source, rules: ValidationRules, options: argparse.Namespace, terminal: Terminal, shown: Shown
) -> DatasetReport:
    """Check the dataset as the cloud will, and show what was found."""
    total = sum(file.path.stat().st_size for file in source.files.values())
    read = 0

    def advanced(count: int) -> None:
        nonlocal read
        read += count
        shown("check", read, total)

    report = validate_source(source, rules, advanced)
    if options.report:
        save_report(report, options.report)
    rest = (
        f"--report FILE.html lists the first {rules.issues_per_code:,} of each code,"
        " more with --rule issues_per_code=NUMBER"
    )
    show_report(public_report(report), terminal.talk, rest=rest)
    return report


def _storage(options: argparse.Namespace) -> Storage:
    found = storage(options)
    if found is None:
        raise UploadError(
            f"no storage account: set {STORAGE_SETTING} (or give --storage), or start a local one: make dev"
        )
    return found


@contextmanager
def _progress(terminal: Terminal) -> Iterator[Shown]:
    """Bars on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = terminal.talk
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def shown(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(escape(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield shown
