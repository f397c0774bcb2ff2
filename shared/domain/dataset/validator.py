"""One pass over the uploaded files, which writes the snapshot and returns the report."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from .checkpoint import FORMAT, Checkpoint
from .codes import Code
from .content import FileContent, FileFaultError
from .file_validator import FileState, FileValidator, SharedState
from .issue_log import IssueLog
from .lines import LongLine, read_lines
from .outcome import summarize_outcome
from .report import DatasetReport, FileSummary, SplitSummary
from .rules import RowPolicy, Split, ValidationRules
from .sensitive import SensitiveKind, mask_sensitive
from .sensitive_rows import scanner_for
from .smoke import SmokeSampler
from .snapshot import Sink, SnapshotFile
from .splitting import Splitter, Write
from .statistics import Statistics

_ORDER = {Split.TRAIN: 0, Split.VALIDATION: 1, Split.TEST: 2}
# A dataset that is rejected anyway is read so far that its report has every kind of fault that is common in
# it.
_ENOUGH_BYTES = 16 << 20


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
    files: Sequence[DatasetFile], rules: ValidationRules, sinks: Mapping[Split, Sink]
) -> DatasetReport:
    """Check a dataset and write its snapshot, in one pass and bounded memory.

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
    validator = Validator(files, rules, sinks)
    for _ in validator.steps():
        pass
    return validator.report()


class Validator:
    """One validation: read in steps, between which it can be written down, and gone on with elsewhere."""

    def __init__(
        self, files: Sequence[DatasetFile], rules: ValidationRules, sinks: Mapping[Split, Sink]
    ) -> None:
        """Set up; see `validate_files`.

        Raises:
            ValueError: Two files are meant for one split.
        """
        self._files = sorted(files, key=lambda file: _ORDER[file.split or Split.TRAIN])
        self._splits = [file.split or Split.TRAIN for file in self._files]
        if len(set(self._splits)) != len(self._splits):
            names = ", ".join(file.name for file in self._files)
            raise ValueError(f"two files are meant for one split: {names}")
        shares = {Split.VALIDATION: rules.validation_percent, Split.TEST: rules.test_percent}
        missing = {split: share for split, share in shares.items() if split not in self._splits}
        self._rules = rules
        self._scanner = scanner_for(rules)
        self._masked = self._scanner.kinds if self._scanner else ()
        self._log = IssueLog(rules.issues_per_code, self._masked)
        self._snapshot = {split: SnapshotFile(sinks[split]) for split in Split}
        self._statistics = Statistics(rules.context_window)
        self._smoke = SmokeSampler(rules)
        self._write: dict[Split, Write] = {split: self._snapshot[split].add for split in Split}
        self._write[Split.TEST] = self._write_test
        self._splitter = Splitter(rules, missing, self._write)
        self._shared = SharedState(rules, self._log, self._statistics, self._scanner)
        self._summaries: list[FileSummary] = []
        self._current = 0
        self._at = FileState()
        self._stopped = False

    def steps(self) -> Iterator[None]:
        """Read the files; yields after each few lines, between which `checkpoint` may be called."""
        if self._current == 0 and self._at.position == 0 and Split.TRAIN not in self._splits:
            self._log.add(Code.NO_TRAINING_FILE, "there is no training file; upload <dataset>/train.jsonl")
        while self._current < len(self._files) and not self._stopped:
            yield from self._read(self._files[self._current], self._splits[self._current])
            self._current += 1
            self._at = FileState()

    def checkpoint(self, sinks: bytes = b"") -> bytes:
        """Write down how far the validation is.

        Args:
            sinks: Kept with it, for whoever writes the snapshot.
        """
        state = Checkpoint(
            format=FORMAT,
            rules=self._rules,
            names=[file.name for file in self._files],
            file=self._current,
            at=self._at,
            files=self._summaries,
            log=self._log.state,
            statistics=self._statistics.state,
            seen=self._shared.seen.state,
            splitter=self._splitter.state,
            smoke=self._smoke.state,
            snapshot={split: file.state for split, file in self._snapshot.items()},
            left_out=list(self._shared.left_out.items()),
            sinks=sinks,
        )
        return msgspec.msgpack.encode(state)

    def resume(self, state: Checkpoint) -> None:
        """Go on where another validation of the same files was written down.

        The file at hand has to give its bytes from `state.at.position` on, unless it is compressed; those
        before it
        are not read again.
        """
        self._current, self._at, self._summaries = state.file, state.at, list(state.files)
        self._log.restore(state.log)
        self._statistics.restore(state.statistics)
        self._shared.seen.restore(state.seen)
        self._shared.left_out = Counter(dict(state.left_out))
        self._splitter.restore(state.splitter)
        self._smoke.restore(state.smoke)
        for split, file in self._snapshot.items():
            file.restore(state.snapshot[split])

    def _read(self, file: DatasetFile, split: Split) -> Iterator[None]:
        """Check one file and write its rows."""
        content = FileContent(file.name, file.chunks, self._rules, self._at.position)
        accept_row = self._splitter.add if split is Split.TRAIN else self._write[split]
        lines = FileValidator(file.name, split, self._shared, accept_row, self._at)
        try:
            for batch in read_lines(content, self._rules.max_line_bytes):
                if isinstance(batch, LongLine):
                    lines.skip_long_line(batch)
                else:
                    lines.validate_lines(batch)
                self._at = lines.state
                if lines.position >= _ENOUGH_BYTES and self._is_lost(lines):
                    self._stopped = True
                    break
                yield
        except FileFaultError as fault:
            self._log.add(fault.code, str(fault), file=file.name)
        else:
            if not lines.kept:
                self._log.add(Code.NO_ROWS, "the file has no row that can be used", file=file.name)
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
        self._summaries.append(summary)

    def _is_lost(self, lines: FileValidator) -> bool:
        """Whether the dataset is rejected whatever is still to come, and enough of its faults are listed."""
        if lines.kept == lines.rows:
            return False
        strict = self._rules.row_policy is RowPolicy.STRICT
        return any(code.is_refused_kind or (strict and code.is_error) for code in self._log.full)

    def report(self) -> DatasetReport:
        """Write what is left of the snapshot and sum up."""
        splits = {split: file.finish() for split, file in self._snapshot.items()}
        for split in (Split.TRAIN, Split.VALIDATION):
            if self._snapshot[split].may_end_in_loss:
                self._log.add(
                    Code.END_MAY_BE_LOST,
                    f"the first or last row of {split} may not fit the window; the job fails if the trainer"
                    " drops it; shorten rows or add shorter ones",
                )
        files = self._summaries
        rows, kept = sum(file.rows for file in files), sum(file.rows_kept for file in files)
        verdict, reason = summarize_outcome(
            self._log, self._rules, splits, rows, kept, complete=not self._stopped
        )
        return DatasetReport(
            verdict=verdict,
            reason=reason,
            complete=not self._stopped,
            counts=self._log.counts,
            issues=self._log.issues,
            files=files,
            splits=splits,
            rows=rows,
            rows_kept=kept,
            rows_dropped=rows - kept,
            left_out_keys=_by_key(self._shared.left_out, self._masked),
            duplicates_sampled=self._shared.seen.sampled,
            tokens=self._statistics.tokens,
            turns_per_row=self._statistics.turns_per_row,
            tokens_per_row=self._statistics.tokens_per_row,
            fingerprint=_fingerprint(splits),
            smoke_sample=self._smoke.samples(),
            rules=self._rules,
        )

    def _write_test(self, digest: int, encoded: bytes, safe: bool) -> None:
        self._snapshot[Split.TEST].add(digest, encoded, safe)
        self._smoke.add(digest, encoded)


def _by_key(left_out: Mapping[tuple[str, ...], int], masked: tuple[SensitiveKind, ...]) -> dict[str, int]:
    """Rows by each key that was left out of them: the most frequent, at most fifty."""
    counts: Counter[str] = Counter()
    for keys, rows in left_out.items():
        for key in keys:
            name = mask_sensitive(key[:255], masked)[:80]
            counts[name.encode(errors="backslashreplace").decode()] += rows
    return dict(counts.most_common(50))


def _fingerprint(splits: Mapping[Split, SplitSummary]) -> str:
    text = "\n".join(f"{split.value} {splits[split].rows} {splits[split].digest}" for split in Split)
    return hashlib.sha256(text.encode()).hexdigest()
