"""What a run's record keeps of its evaluation."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec


class Verdict(StrEnum):
    """What a comparison comes to, in plain words."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured value, and the interval that 95 % of bootstrap resamples of the rows fall into."""

    value: float
    low: float
    high: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two models on the same rows.

    Attributes:
        against: The run whose model the candidate is compared with; the id of a base model.
        rows: Rows that both answered.
        metrics: Those of the other model on these rows, in percent.
        differences: The candidate's less the other's, row by row, in percentage points.
        p_value: How often chance alone makes a difference of chrF as large (paired permutation test).
        verdict: Of the candidate.
    """

    against: str
    rows: int
    metrics: dict[str, Interval]
    differences: dict[str, Interval]
    p_value: float
    verdict: Verdict

    @property
    def words(self) -> str:
        """The verdict in a few words."""
        if self.verdict is Verdict.CANNOT_TELL:
            return f"cannot tell from {self.rows} rows"
        return f"{self.verdict} on {self.rows} rows"


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far an evaluation is, and what came of it; `evaluation.jsonl` beside the report has every row.

    Attributes:
        began: When the first row was asked (UTC).
        rows: Rows of the sample.
        fingerprint: Digest of these rows.
        asked: Rows that the candidate has answered or refused so far.
        against: The run whose model is the dataset's current one; None if there is none.
        against_asked: The same as `asked` of that model.
        ended: When the evaluation was complete or its time was over (UTC).
        metrics: The candidate's, each with its interval: percent, seconds, or tokens per second.
        refused: Rows that the model's server refused; they score 0.
        comparison: With the current model, if there is one and both answered a row.
        base_asked: The same as `asked` of the base model.
        base_comparison: With the base model, if it was deployed and both answered a row.
    """

    began: Annotated[datetime, msgspec.Meta(tz=True)]
    rows: int
    fingerprint: str
    asked: int = 0
    against: str | None = None
    against_asked: int = 0
    ended: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    metrics: dict[str, Interval] = {}
    refused: int = 0
    comparison: Comparison | None = None
    base_asked: int = 0
    base_comparison: Comparison | None = None
