"""Intervals and a paired test by resampling: nothing is assumed of how scores are distributed.

The interval of a statistic is the percentile bootstrap's (Efron & Tibshirani 1993, chapter 13). Whether two
models differ is a paired permutation test of the mean difference (Fisher's; Efron & Tibshirani, chapter 15):
if they are equally good, each row's difference might as well have the other sign. A verdict needs both: the
test keeps its level with few rows, or few that differ, where the bootstrap alone finds differences that are
none. All draws are seeded, so that the same answers have the same verdict.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from shared.domain.evaluation.record import Interval, Verdict

Values = npt.NDArray[np.float64]
Statistic = Callable[[Values], Values]
"""Takes samples, one a row of a matrix of rows, and returns one value for each."""

LEVEL = 0.05
RESAMPLES = 2_000
PERMUTATIONS = 10_000
EXACT_ROWS = 12
"""Up to so many rows all signs are tried; more have more than 2**12 patterns, of which a sample is drawn."""

_SEED = 20240229


def mean(samples: Values) -> Values:
    """The mean of each sample."""
    averaged: Values = samples.mean(axis=-1)
    return averaged


def quantile(share: float) -> Statistic:
    """A quantile of each sample, by its share of the values below it."""

    def of(samples: Values) -> Values:
        found: Values = np.quantile(samples, share, axis=-1)
        return found

    return of


def interval(values: Values, statistic: Statistic = mean) -> Interval:
    """A statistic of the values with its bootstrap interval.

    Args:
        values: One a row, at least one.
        statistic: Of each sample.
    """
    return _percentiles(float(statistic(values[None])[0]), statistic(values[_resampled(len(values))]))


def ratio(numerators: Values, denominators: Values) -> Interval:
    """The ratio of two sums over the same rows, with its bootstrap interval."""
    rows = _resampled(len(numerators))
    drawn = numerators[rows].sum(axis=-1) / denominators[rows].sum(axis=-1)
    return _percentiles(float(numerators.sum() / denominators.sum()), drawn)


def p_value(differences: Values) -> float:
    """How often random signs make the mean difference as far from 0 as it is, both directions counted."""
    rows = len(differences)
    if rows <= EXACT_ROWS:
        patterns = (np.arange(2**rows)[:, None] >> np.arange(rows)) & 1
    else:
        drawn = np.random.default_rng(_SEED).integers(0, 2, (PERMUTATIONS, rows))
        # The observed signs are one of the patterns, so that the test keeps its level.
        patterns = np.vstack([np.ones((1, rows), dtype=drawn.dtype), drawn])
    sums = np.abs((2 * patterns - 1) @ differences)
    # Sums of the same numbers in another order differ in their last digits.
    return float((sums >= abs(differences.sum()) - 1e-9).mean())


def verdict(differences: Values) -> Verdict:
    """What the differences of the candidate's scores from another model's come to."""
    if len(differences) == 0:
        return Verdict.CANNOT_TELL
    found = interval(differences)
    if found.low <= 0 <= found.high or p_value(differences) > LEVEL:
        return Verdict.CANNOT_TELL
    return Verdict.BETTER if found.value > 0 else Verdict.WORSE


def _resampled(rows: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(_SEED).integers(0, rows, (RESAMPLES, rows))


def _percentiles(value: float, drawn: Values) -> Interval:
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    return Interval(value, float(low), float(high))
