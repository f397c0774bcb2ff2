"""Inputs made to be slow: each takes time in proportion to its size, and none more than a bound per byte."""

import gc
import math
import time

import pytest

from chaos.nasty_inputs import NASTY, suffix_of
from shared.domain.dataset import DatasetFile, NoSink, RowPolicy, Split, ValidationRules, validate_files

KIBIBYTE = 1 << 10
SIZE = 96 * KIBIBYTE
# Twice the input may take so many times as long: what grows as a square takes four times as long.
MOST_GROWTH = 3.0
LEAST_SECONDS = 0.02  # below which a clock's ticks are most of what is measured
RULES = ValidationRules(row_policy=RowPolicy.DROP, max_line_bytes=64 << 20, max_blank_lines=1 << 40)


def _seconds(name: str, data: bytes) -> float:
    gc.disable()  # it would walk through all that the tests hold, which has nothing to do with the input
    try:
        began = time.process_time()
        validate_files(
            [DatasetFile(f"d.jsonl{suffix_of(name)}", None, [data])], RULES, dict.fromkeys(Split, NoSink())
        )
        return time.process_time() - began
    finally:
        gc.enable()


@pytest.mark.parametrize("name", NASTY)
def test_twice_the_input_takes_about_twice_as_long(name: str) -> None:
    """CPU time, the least of a few tries: what disturbs a measurement only ever adds to it."""
    once, twice = NASTY[name](SIZE), NASTY[name](2 * SIZE)
    first = second = math.inf
    for _ in range(6):
        first, second = min(first, _seconds(name, once)), min(second, _seconds(name, twice))
        if second < max(LEAST_SECONDS, MOST_GROWTH * first):
            return
    raise AssertionError(f"{first:.3f} s become {second:.3f} s")
