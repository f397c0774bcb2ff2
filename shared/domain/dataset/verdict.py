"""Accepted or rejected, and the sentence that says why."""

from collections.abc import Mapping

from .codes import Code
from .issue_log import IssueLog
from .report import SplitSummary, Verdict
from .rules import GateRules, RowPolicy, Split

# Faults of a file or the dataset: they reject it under either row policy.
_FATAL = (
    Code.CORRUPT_COMPRESSION,
    Code.FILE_TOO_LARGE,
    Code.EXPANDS_TOO_MUCH,
    Code.TOO_MANY_BLANK_LINES,
    Code.NO_TRAINING_FILE,
    Code.NO_ROWS,
    Code.TOO_FEW_TRAINING_ROWS,
    Code.EMPTY_SPLIT,
    Code.TOO_MANY_DROPPED,
)


def judge(
    log: IssueLog, rules: GateRules, splits: Mapping[Split, SplitSummary], rows: int, kept: int
) -> tuple[Verdict, str]:
    """Judge the dataset as a whole, adding to the log what only shows at the end.

    Args:
        log: Everything found so far.
        rules: What the dataset is held to.
        splits: What the pinned copy holds.
        rows: Rows that were read.
        kept: Rows in the pinned copy.

    Returns:
        The verdict and its reason.
    """
    _judge_splits(log, rules, splits)
    dropped = rows - kept
    share = 100 * dropped / rows if rows else 0.0
    if rules.row_policy is RowPolicy.DROP and share > rules.max_dropped_percent:
        message = f"{share:.1f} % of the rows are unusable; {rules.max_dropped_percent:g} % may be dropped"
        log.add(Code.TOO_MANY_DROPPED, message)
    fatal = next((issue for issue in log.issues if issue.code in _FATAL), None)
    if dropped and (rules.row_policy is RowPolicy.STRICT or fatal is not None):
        return Verdict.REJECTED, _row_reason(log, rules, rows, dropped)
    if fatal is not None:
        where = f"{fatal.file}: " if fatal.file else ""
        return Verdict.REJECTED, f"{where}{fatal.message} ({fatal.code})."
    left_out = f"; {dropped:,} unusable rows were left out" if dropped else ""
    counts = ", ".join(f"{splits[split].rows:,} for {split}" for split in Split)
    return Verdict.ACCEPTED, f"{kept:,} rows can be trained on: {counts}{left_out}."


def _judge_splits(log: IssueLog, rules: GateRules, splits: Mapping[Split, SplitSummary]) -> None:
    training = splits[Split.TRAIN].rows
    if training < rules.min_training_rows:
        message = (
            f"{training} rows are left for training, at least {rules.min_training_rows} are needed;"
            f" upload at least {rules.min_training_rows + 2}, so that validation and test get one each"
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


def _row_reason(log: IssueLog, rules: GateRules, rows: int, dropped: int) -> str:
    first = next(issue for issue in log.found if issue.code.is_error and issue.line is not None)
    advice = "correct the rows and upload again"
    if rules.row_policy is RowPolicy.STRICT and 100 * dropped / rows <= rules.max_dropped_percent:
        advice += ', or set row_policy to "drop"'
    return (
        f"{dropped:,} of {rows:,} rows cannot be trained on, the first in {first.file} line {first.line}"
        f" ({first.code}: {first.message}); {advice}."
    )
