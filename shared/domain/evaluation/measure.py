"""Sum up the answers of a model, and compare it with another. Imported only where an evaluation ends."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from shared.domain.evaluation import statistics
from shared.domain.evaluation.record import Comparison, Interval
from shared.domain.evaluation.rows import Answer, Row, Subject
from shared.domain.evaluation.scores import PRIMARY, QUALITY, scores_of


def scored(row: Row) -> Row:
    """The row with the scores of every answer that counts."""
    answers = {
        subject: msgspec.structs.replace(answer, scores=scores_of(answer.text, row.expected))
        if answer.counts
        else answer
        for subject, answer in row.answers.items()
    }
    return msgspec.structs.replace(row, answers=answers)


def measure(rows: Sequence[Row], subject: Subject) -> dict[str, Interval]:
    """A model's metrics over the rows that it answered; none of a metric that no row has.

    Returns:
        `chrf`, `rouge_l`, `token_f1`, `exact_match`: mean score in percent. `empty`, `cut`: percent of the
        rows. `length_ratio`: characters of the replies over those that were expected. `latency_p50`,
        `latency_p95`: seconds. `tokens_per_second`.
    """
    answered = [(row, row.answers[subject]) for row in rows if _counts(row, subject)]
    if not answered:
        return {}
    answers = [answer for _, answer in answered]
    found = {name: statistics.interval(_array([one.scores[name] for one in answers])) for name in QUALITY}
    found["empty"] = statistics.interval(_array([100.0 * (not one.text.strip()) for one in answers]))
    found["cut"] = statistics.interval(_array([100.0 * one.cut for one in answers]))
    found["length_ratio"] = statistics.ratio(
        _array([len(one.text) for one in answers]), _array([max(1, len(row.expected)) for row, _ in answered])
    )
    return found | _pace(answers)


def _pace(answers: Sequence[Answer]) -> dict[str, Interval]:
    found: dict[str, Interval] = {}
    seconds = [one.seconds for one in answers if one.seconds is not None]
    if seconds:
        found["latency_p50"] = statistics.interval(_array(seconds), statistics.quantile(0.5))
        found["latency_p95"] = statistics.interval(_array(seconds), statistics.quantile(0.95))
    counted = [(one.tokens, one.seconds) for one in answers if one.tokens and one.seconds]
    if counted:
        tokens, taken = zip(*counted, strict=True)
        found["tokens_per_second"] = statistics.ratio(_array(tokens), _array(taken))
    return found


def compare(rows: Sequence[Row], other: Subject, against: str) -> Comparison | None:
    """Compare the candidate with another model on the rows that both answered, or None if there is none."""
    both = [row for row in rows if _counts(row, Subject.CANDIDATE) and _counts(row, other)]
    if not both:
        return None
    ours = {name: _array([row.answers[Subject.CANDIDATE].scores[name] for row in both]) for name in QUALITY}
    theirs = {name: _array([row.answers[other].scores[name] for row in both]) for name in QUALITY}
    differences = {name: ours[name] - theirs[name] for name in QUALITY}
    return Comparison(
        against=against,
        rows=len(both),
        metrics={name: statistics.interval(values) for name, values in theirs.items()},
        differences={name: statistics.interval(values) for name, values in differences.items()},
        p_value=statistics.p_value(differences[PRIMARY]),
        verdict=statistics.verdict(differences[PRIMARY]),
    )


def _counts(row: Row, subject: Subject) -> bool:
    answer = row.answers.get(subject)
    return answer is not None and answer.counts


def _array(values: Sequence[float]) -> statistics.Values:
    return np.asarray(values, dtype=np.float64)
