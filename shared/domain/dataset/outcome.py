"""Accepted or rejected, and the sentence that says why."""

from collections.abc import Mapping

from .codes import Code
from .issue_log import IssueLog
from .report import Issue, SplitSummary, Verdict
from .rules import RowPolicy, Split, ValidationRules

# A file that was not read to its end, or is not there: the reason, whatever else was found.
_UNREAD = (
    Code.CORRUPT_COMPRESSION,
    Code.FILE_TOO_LARGE,
    Code.EXPANDS_TOO_MUCH,
    Code.TOO_MANY_BLANK_LINES,
    Code.NO_TRAINING_FILE,
    Code.ANOTHER_KIND,
)
# Faults of the dataset as a whole: they reject it under either row policy.
_FATAL = (
    Code.NO_ROWS,
    Code.TOO_FEW_TRAINING_ROWS,
    Code.EMPTY_SPLIT,
    Code.TOO_MANY_DROPPED,
)


_WAYS_OUT = {
    Code.PREFERENCE: '; with "preference": "use_chosen" in run.json the chosen answers are learned',
    Code.MEDIA: '; with "vision": "drop_rows" in run.json such rows are left out',
    Code.TOOL_CALLS: '; with "tools": "as_text" in run.json calls and results become text, with "drop_rows"'
    " such rows are left out",
    Code.TEMPLATED_TEXT: '; with "pretemplated": "strip" in run.json the marks are removed',
}
"""The setting that makes data of a refused kind usable."""


def summarize_outcome(
    log: IssueLog,
    rules: ValidationRules,
    splits: Mapping[Split, SplitSummary],
    rows: int,
    kept: int,
    *,
    complete: bool = True,
) -> tuple[Verdict, str]:
    """Decide whether the dataset is accepted, and log the faults of the dataset as a whole.

    Args:
        log: Everything found so far.
        rules: What the dataset is held to.
        splits: What the snapshot holds.
        rows: Rows that were read.
        kept: Rows in the snapshot.
        complete: Whether all rows were read.

    Returns:
        The verdict and its reason.
    """
    if complete:
        _check_splits(log, rules, splits)
    left_out = log.counts.get(Code.LEFT_OUT, 0)  # as the uploader asked
    dropped = rows - kept - left_out
    share = 100 * dropped / rows if rows else 0.0
    if complete and rules.row_policy is RowPolicy.DROP and share > rules.max_dropped_percent:
        message = f"{share:.1f} % of the rows are unusable; {rules.max_dropped_percent:g} % may be dropped"
        log.add(Code.TOO_MANY_DROPPED, message)
    unread = next((issue for issue in log.issues if issue.code in _UNREAD), None)
    if unread is not None:
        return Verdict.REJECTED, f"{_sentence(unread)}."
    if refused := next((issue for issue in log.issues if issue.code.is_refused_kind), None):
        return Verdict.REJECTED, _refusal(log, refused, rows, complete=complete)
    if dropped and rules.row_policy is RowPolicy.STRICT:
        within = share <= rules.max_dropped_percent
        advice = "correct the rows and upload again" + (', or set row_policy to "drop"' if within else "")
        stopped = "" if complete else "; the rest was not read"
        return Verdict.REJECTED, f"{_faulty_rows(log, rows, dropped)}{stopped}; {advice}."
    fatal = next((issue for issue in log.issues if issue.code in _FATAL), None)
    if fatal is not None:
        rest = f"; {_faulty_rows(log, rows, dropped)}" if dropped else ""
        return Verdict.REJECTED, f"{_sentence(fatal)}{rest}."
    unusable = f"; {dropped:,} unusable rows were left out" if dropped else ""
    asked = f"; {left_out:,} rows were left out as asked" if left_out else ""
    counts = ", ".join(f"{splits[split].rows:,} for {split}" for split in Split)
    return Verdict.ACCEPTED, f"{kept:,} rows can be trained on: {counts}{unusable}{asked}."


def _check_splits(log: IssueLog, rules: ValidationRules, splits: Mapping[Split, SplitSummary]) -> None:
    training = splits[Split.TRAIN].rows
    if training < rules.min_training_rows:
        message = (
            f"{training} rows are left for training, where at least {rules.min_training_rows} are needed;"
            " upload more rows"
        )
        log.add(Code.TOO_FEW_TRAINING_ROWS, message)
    for split in (Split.VALIDATION, Split.TEST):
        rows = splits[split].rows
        if not rows:
            message = f"no row is left for {split}; upload more different rows or a {split} file"
            log.add(Code.EMPTY_SPLIT, message)
        elif rows < rules.min_evaluation_rows:
            log.add(
                Code.SMALL_SPLIT,
                f"{split} has fewer than {rules.min_evaluation_rows} rows; its figures will say little",
            )


def _refusal(log: IssueLog, issue: Issue, rows: int, *, complete: bool) -> str:
    """What is said of data that are refused as a whole, and the way out."""
    count = log.counts[issue.code]
    read = f"{rows:,} rows" if complete else f"the first {rows:,} rows"
    return (
        f"{issue.code.label} ({issue.code}) in {count:,} of {read},"
        f" the first in {issue.file} line {issue.line}: {issue.message}{_WAYS_OUT.get(issue.code, '')}."
    )


def _sentence(issue: Issue) -> str:
    where = f"{issue.file}: " if issue.file else ""
    return f"{where}{issue.message} ({issue.code})"


def _faulty_rows(log: IssueLog, rows: int, dropped: int) -> str:
    first = next(issue for issue in log.found if issue.code.is_error and issue.line is not None)
    place = f"{first.file} line {first.line} ({first.code}: {first.message})"
    return f"{dropped:,} of {rows:,} rows cannot be trained on, the first in {place}"
