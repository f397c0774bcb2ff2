"""When to try again: exponential, jittered, and not sooner than the service asked, within reason."""

from __future__ import annotations

from datetime import timedelta

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 900.0

LONGEST_ASKED_SECONDS = 3600.0
"""A service that asks for more than an hour is asked again after one: a wrong header must not lose a run."""


def backoff(failures: int, jitter: float, retry_after: float | None = None) -> timedelta:
    """The pause after a number of faults in a row.

    Args:
        failures: Faults in a row, this one included; 1 or more.
        jitter: A number in [0, 1): the pause is spread over the upper half of its range.
        retry_after: Seconds that the service asked for, or None; at most `LONGEST_ASKED_SECONDS` are heeded.
    """
    ceiling = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(failures - 1, 16))
    asked = min(LONGEST_ASKED_SECONDS, retry_after or 0.0)
    return timedelta(seconds=max(ceiling * (0.5 + jitter / 2), asked))
