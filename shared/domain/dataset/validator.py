"""One pass over the uploaded files, which writes the snapshot and returns the report."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .codes import Code
from .content import FileContent, FileFaultError
from .file_validator import FileValidator, SharedState
from .issue_log import IssueLog
from .lines import LongLine, read_lines
from .outcome import summarize_outcome
from .report import DatasetReport, FileSummary, SplitSummary
from .rules import Split, ValidationRules
from .smoke import SmokeSampler
from .snapshot import SnapshotFile
from .splitting import Splitter, Write
from .statistics import Statistics

_ORDER = {Split.TRAIN: 0, Split.VALIDATION: 1, Split.TEST: 2}


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """One uploaded file.

    Attributes:
        name: Its path in the container; `.gz` and `.zst` at its end say how it is compressed.
        split: The split it is meant for; None for a single file that is to be shared out.
        chunks: Its bytes, iterated once.
    """

    name: str
    split: Split | None
    chunks: Iterable[bytes]


def validate_files(
    files: Sequence[DatasetFile], rules: ValidationRules, sinks: Mapping[Split, Callable[[bytes], object]]
) -> DatasetReport:
    """Check a dataset and write its snapshot, in one pass and nearly constant memory.

    Files that were uploaded for validation or test are used as they are; what is missing is taken from the
    training file. A split that the report gives no rows had nothing written to its sink.

    Args:
        files: At most one file per split, in any order; None counts as training.
        rules: What the dataset is held to.
        sinks: One for each split; takes the snapshot's bytes in pieces of about 256 KiB.

    Returns:
        The report. Unless it accepts the dataset, what the sinks were given is to be thrown away.

    Raises:
        ValueError: Two files are meant for one split.
    """
    ordered = sorted(files, key=lambda file: _ORDER[file.split or Split.TRAIN])
    splits = [file.split or Split.TRAIN for file in ordered]
    if len(set(splits)) != len(splits):
        raise ValueError(f"two files are meant for one split: {', '.join(file.name for file in ordered)}")
    shares = {Split.VALIDATION: rules.validation_percent, Split.TEST: rules.test_percent}
    missing = {split: share for split, share in shares.items() if split not in splits}
    check = Validator(rules, missing, sinks)
    if Split.TRAIN not in splits:
        check.log.add(Code.NO_TRAINING_FILE, "there is no training file; upload <dataset>/train.jsonl")
    for file, split in zip(ordered, splits, strict=True):
        check.read(file, split)
    return check.report()


class Validator:
    """One pass: the files in order, then the report."""

    def __init__(
        self,
        rules: ValidationRules,
        missing: Mapping[Split, int],
        sinks: Mapping[Split, Callable[[bytes], object]],
    ) -> None:
        self.log = IssueLog(rules.issues_per_code)
        self._rules = rules
        self._snapshot = {split: SnapshotFile(sinks[split], rules.context_window) for split in Split}
        self._statistics = Statistics(rules.context_window)
        self._smoke = SmokeSampler(rules)
        self._write: dict[Split, Write] = {split: self._snapshot[split].add for split in Split}
        self._write[Split.TEST] = self._write_test
        self._splitter = Splitter(rules, missing, self._write)
        self._rows = SharedState(rules, self.log, self._statistics)
        self._files: list[FileSummary] = []

    def read(self, file: DatasetFile, split: Split) -> None:
        """Check one file and write its rows."""
        content = FileContent(file.name, file.chunks, self._rules)
        accept_row = self._splitter.add if split is Split.TRAIN else self._write[split]
        lines = FileValidator(file.name, split, self._rows, accept_row)
        try:
            for batch in read_lines(content, self._rules.max_line_bytes):
                if isinstance(batch, LongLine):
                    lines.skip_long_line(batch)
                else:
                    lines.validate_lines(batch)
        except FileFaultError as fault:
            self.log.add(fault.code, str(fault), file=file.name)
        else:
            if not lines.kept:
                self.log.add(Code.NO_ROWS, "the file has no row that can be used", file=file.name)
        if split is Split.TRAIN:
            self._splitter.finish()
        summary = FileSummary(
            name=file.name,
            split=file.split,
            uploaded_bytes=content.uploaded_bytes,
            bytes=content.bytes,
            lines=lines.number,
            rows=lines.rows,
            rows_kept=lines.kept,
        )
        self._files.append(summary)

    def report(self) -> DatasetReport:
        """Write what is left of the snapshot and sum up."""
        splits = {split: file.finish() for split, file in self._snapshot.items()}
        rows, kept = sum(file.rows for file in self._files), sum(file.rows_kept for file in self._files)
        verdict, reason = summarize_outcome(self.log, self._rules, splits, rows, kept)
        return DatasetReport(
            verdict=verdict,
            reason=reason,
            counts=self.log.counts,
            issues=self.log.issues,
            files=self._files,
            splits=splits,
            rows=rows,
            rows_kept=kept,
            rows_dropped=rows - kept,
            tokens=self._statistics.tokens,
            turns_per_row=self._statistics.turns_per_row,
            tokens_per_row=self._statistics.tokens_per_row,
            fingerprint=_fingerprint(splits),
            smoke_sample=self._smoke.samples(),
            rules=self._rules,
        )

    def _write_test(self, digest: int, encoded: bytes) -> None:
        self._snapshot[Split.TEST].add(digest, encoded)
        self._smoke.add(digest, encoded)


def _fingerprint(splits: Mapping[Split, SplitSummary]) -> str:
    text = "\n".join(f"{split.value} {splits[split].rows} {splits[split].digest}" for split in Split)
    return hashlib.sha256(text.encode()).hexdigest()
