"""The report of a validation: plain values that are written as JSON without further work."""

from enum import StrEnum

import msgspec

from .codes import Code
from .conversation import Message
from .rules import Split, ValidationRules


class Verdict(StrEnum):
    """Whether training may read the snapshot."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, warning or repair.

    Attributes:
        code: Its stable code, as `docs/dataset-rules.md` lists them.
        message: What it is and what to do.
        file: The file it was found in; None for the dataset as a whole.
        line: The line in that file, counted from 1; None for the file as a whole.
        excerpt: The beginning of the line, for rows with a fault or a warning.
    """

    code: Code
    message: str
    file: str | None = None
    line: int | None = None
    excerpt: str | None = None


class FileSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One uploaded file: its lines, the rows in them and the rows that can be used. Sizes in bytes."""

    name: str
    split: Split | None
    uploaded_bytes: int
    bytes: int
    lines: int
    rows: int
    rows_kept: int


class SplitSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the snapshot.

    Attributes:
        rows: Its rows; the trainer keeps every one of them, but may drop those under `W106`.
        bytes: Its size.
        digest: 128 bits of XXH3 over its content, piece after piece, in hex.
    """

    rows: int
    bytes: int
    digest: str


class TokenSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Estimated tokens, and what the trainer truncates at its context window."""

    total: int
    longest_row: int
    context_window: int
    truncated_rows: int
    truncated_tokens: int


class Bucket(msgspec.Struct, frozen=True):
    """Rows whose value lies between `low` and `high`, both included."""

    low: int
    high: int
    rows: int


class SmokeSample(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of the test split without its last answer, and that answer."""

    messages: list[Message]
    expected: str


class DatasetReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole outcome of one check.

    Attributes:
        verdict: Whether the dataset can be trained on.
        reason: One sentence that says why, and what to do.
        complete: Whether all was read. Reading stops early, after 16 MiB at least, once it is sure that the
            dataset
            is rejected and the list of a fault's issues is full; all numbers are of what was read.
        counts: How often each code occurred.
        issues: The issues themselves, at most `rules.issues_per_code` of each code.
        files: What was uploaded.
        splits: What the snapshot holds; for a rejected dataset, what it would have held.
        rows: Rows that were read, whether usable or not.
        rows_kept: Rows in the snapshot.
        rows_dropped: Rows left out of the snapshot.
        left_out_keys: Rows by each key, of theirs or of their messages, that the snapshot leaves out.
        duplicates_sampled: One conversation in so many was compared with the others: 1 up to a million and
            a half.
        tokens: Estimated tokens of the snapshot.
        turns_per_row: Histogram of messages in a row.
        tokens_per_row: Histogram of estimated tokens in a row.
        fingerprint: Hex digest of what training would see: the rows, their order and their splits. Two
            uploads with equal fingerprints train the same model.
        smoke_sample: Conversations for the evaluation, the smoke test's first.
        rules: What the dataset was held to.
    """

    verdict: Verdict
    reason: str
    complete: bool
    counts: dict[str, int]
    issues: list[Issue]
    files: list[FileSummary]
    splits: dict[Split, SplitSummary]
    rows: int
    rows_kept: int
    rows_dropped: int
    left_out_keys: dict[str, int]
    duplicates_sampled: int
    tokens: TokenSummary
    turns_per_row: list[Bucket]
    tokens_per_row: list[Bucket]
    fingerprint: str
    smoke_sample: list[SmokeSample]
    rules: ValidationRules

    @property
    def accepted(self) -> bool:
        """Whether the dataset can be trained on."""
        return self.verdict is Verdict.ACCEPTED
