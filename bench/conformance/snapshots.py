"""What validation makes of a case: the files that the trainer would be given."""

from __future__ import annotations

from typing import NamedTuple

from bench.conformance.cases import WINDOW, Case
from shared.domain.dataset import (
    DatasetFile,
    DatasetReport,
    RowPolicy,
    Split,
    ValidationRules,
    validate_files,
)

RULES = ValidationRules(
    row_policy=RowPolicy.DROP,
    max_dropped_percent=100,
    min_evaluation_rows=1,
    context_window=WINDOW,
    tools="as_text",
)


class Snapshot(NamedTuple):
    """A report and the files that belong to it."""

    report: DatasetReport
    files: dict[str, bytes]


class _Sink:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def write_first(self, piece: bytes) -> None:
        self.pieces.insert(0, piece)


def snapshot_of(case: Case) -> Snapshot:
    """Validate a case's files as an upload."""
    alone = set(case.files) == {"train"}
    files = [
        DatasetFile(f"case/{name}.jsonl", None if alone else Split(name), [data])
        for name, data in case.files.items()
    ]
    sinks = {split: _Sink() for split in Split}
    report = validate_files(files, RULES, sinks)
    return Snapshot(report, {split.value: b"".join(sink.pieces) for split, sink in sinks.items()})
