"""Intervals, the paired test and the scores, held to hand-worked values, and to their level by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from shared.domain.evaluation import statistics
from shared.domain.evaluation.record import Verdict
from shared.domain.evaluation.scores import scores_of

pytestmark = pytest.mark.unit

SIMULATIONS = 150


def array(*values: float) -> statistics.Values:
    """Values as the module takes them."""
    return np.array(values, dtype=np.float64)


def test_few_rows_have_their_exact_p_value() -> None:
    """Differences 1, 2, 3: of the 8 patterns of signs, two have a sum of 6 or -6; of 1, 2, -3 all."""
    assert statistics.p_value(array(1, 2, 3)) == 2 / 8
    assert statistics.p_value(array(1, 2, -3)) == 1
    # Sums of 1, 2, 4 and 8 with signs are the odd numbers to 15, each once: 4 of 16 are 13 or more, either
    # way.
    assert statistics.p_value(array(1, 2, 4, 8)) == 2 / 16
    assert statistics.p_value(array(-1, 2, 4, 8)) == 4 / 16


def test_many_rows_have_the_p_value_of_the_normal_distribution() -> None:
    """Random signs of 400 ones sum up like a normal variable of deviation 20; 40 is two deviations off."""
    differences = np.repeat(array(1, -1), [220, 180])
    # P(|Z| >= 1.95) with the correction for whole steps: 0.0512.
    assert statistics.p_value(differences) == pytest.approx(math.erfc(1.95 / math.sqrt(2)), abs=0.008)


def test_an_interval_is_as_wide_as_theory_has_it() -> None:
    """A mean of many values has its textbook interval: 1.96 standard errors to either side."""
    values = np.random.default_rng(5).normal(10, 3, 400)
    found = statistics.interval(values)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)
    median = statistics.interval(values, statistics.quantile(0.5))
    # A normal median's standard error is 1.2533 times the mean's.
    assert median.high - median.low == pytest.approx(2 * half * 1.2533, rel=0.25)
    pace = statistics.ratio(array(10, 10, 10), array(2, 2, 2))
    assert (pace.value, pace.low, pace.high) == (5, 5, 5)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.normal(0, 10, 50),
        lambda rng: rng.normal(0, 10, 10),
        lambda rng: rng.exponential(10, 50) - rng.exponential(10, 50),
        lambda rng: rng.choice([-100.0, 0.0, 100.0], 50, p=[0.04, 0.92, 0.04]),
    ],
    ids=["normal", "few rows", "long tails", "few that differ"],
)
def test_equal_models_are_seldom_told_apart(draw: Callable[[np.random.Generator], statistics.Values]) -> None:
    """Chance alone has a verdict at the stated level of 5 %, or less; 150 draws allow 17 (99.9 %)."""
    rng = np.random.default_rng(11)
    told = sum(statistics.verdict(draw(rng)) is not Verdict.CANNOT_TELL for _ in range(SIMULATIONS))
    assert told <= 17


def test_a_real_difference_is_found_in_its_direction() -> None:
    """Half a deviation on 50 rows is found nearly always, and never the wrong way round."""
    rng = np.random.default_rng(3)
    found = [statistics.verdict(rng.normal(5, 10, 50)) for _ in range(60)]
    assert found.count(Verdict.BETTER) >= 50
    assert Verdict.WORSE not in found
    assert statistics.verdict(rng.normal(-8, 10, 50)) is Verdict.WORSE
    assert statistics.verdict(array(0, 0, 0)) is Verdict.CANNOT_TELL
    assert statistics.verdict(array()) is Verdict.CANNOT_TELL
    assert statistics.verdict(array(50, 60, 70)) is Verdict.CANNOT_TELL  # no test can tell from three rows


def test_scores_are_those_worked_out_by_hand() -> None:
    """Words in common in order 3 of 4 and 5, in any order 4; a reply that differs in case only is exact."""
    scores = scores_of("on the cat sat", "the cat sat on mats")
    assert scores["rouge_l"] == pytest.approx(100 * 2 * 3 / (4 + 5))
    assert scores["token_f1"] == pytest.approx(100 * 2 * 4 / (4 + 5))
    assert scores["exact_match"] == 0
    assert scores_of("Äpfel, bitte!", "äpfel bitte") | {"chrf": 0} == {
        "chrf": 0,
        "rouge_l": 100,
        "token_f1": 100,
        "exact_match": 100,
    }
    assert scores_of("東京です", "東京です")["chrf"] == pytest.approx(100)
    assert scores_of("", "anything")["chrf"] == scores_of("", "anything")["rouge_l"] == 0
    # Character 1-grams of "abc" in "abd": precision and recall 2/3; 2-grams 1/2; 3-grams 0. Their means are
    # 7/18.
    assert scores_of("abc", "abd")["chrf"] == pytest.approx(100 * 7 / 18)
