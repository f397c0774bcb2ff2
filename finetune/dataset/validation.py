"""Validation on this machine, before a byte is sent: the verdict is the one that the app will give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from finetune.client import Report
from finetune.dataset.source import Source
from shared.domain.dataset import (
    Code,
    DatasetFile,
    DatasetReport,
    NoSink,
    Split,
    ValidationRules,
    report_html,
    validate_files,
)

_PIECE = 1 << 20
_LISTED = 12  # issues shown on the terminal; the report has more


def validate_source(
    source: Source, rules: ValidationRules, advanced: Callable[[int], object]
) -> DatasetReport:
    """Validate a dataset's files without keeping the snapshot.

    Args:
        source: The dataset.
        rules: What it is held to.
        advanced: Told how many bytes were read since it was last told.
    """
    alone = len(source.files) == 1
    files = [
        DatasetFile(file.label, None if alone else split, _read(file.path, advanced))
        for split, file in source.files.items()
    ]
    return validate_files(files, rules, dict.fromkeys(Split, NoSink()))


def save_report(report: DatasetReport, path: Path) -> None:
    """Write the report: as a page if the file's name ends with `.html`, else as JSON."""
    if path.suffix.lower() == ".html":
        path.write_text(report_html(report), encoding="utf-8")
    else:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def show_report(report: Report, console: Console, *, rest: str) -> None:
    """Print the verdict, what was counted and the first issues; `rest` says where the others are."""
    colour = "green" if report.verdict == "accepted" else "red"
    console.print(f"[bold {colour}]{report.verdict}[/]: {escape(report.reason)}")
    if report.counts:
        table = Table(box=None, pad_edge=False, show_header=False)
        for code, count in report.counts.items():
            table.add_row(code, _label(code), f"{count:,}", style="red" if code[0] == "E" else None)
        console.print(table)
    if report.left_out_keys:
        names = ", ".join(f"{escape(key)} ({rows:,})" for key, rows in report.left_out_keys.items())
        console.print(f"keys left out, with their rows: {names}", soft_wrap=True)
    if not report.complete:
        console.print("the rest was not read: the dataset is rejected whatever it holds")
    errors = [issue for issue in report.issues if issue.code[0] != "R"]
    errors.sort(key=lambda issue: (issue.file or "", issue.line or 0))
    for issue in errors[:_LISTED]:
        place = f"{issue.file or 'dataset'}" + (f":{issue.line}" if issue.line is not None else "")
        console.print(f"  {escape(place)}  {issue.code} {escape(issue.message)}", soft_wrap=True)
    hidden = sum(report.counts[code] for code in report.counts if code[0] != "R") - len(errors[:_LISTED])
    if hidden > 0:
        console.print(f"  and {hidden:,} more; {rest}", soft_wrap=True)


def public_report(report: DatasetReport) -> Report:
    """The report as the API gives it."""
    raw = msgspec.to_builtins(report)
    return msgspec.structs.replace(msgspec.convert(raw, Report), raw=raw)


def _label(code: str) -> str:
    return Code(code).label if code in set(Code) else ""


def _read(path: Path, advanced: Callable[[int], object]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            advanced(len(piece))
            yield piece
