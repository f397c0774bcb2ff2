"""When to try again: exponential, jittered, and never sooner than the service asked."""

from __future__ import annotations

from datetime import timedelta

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 900.0


def backoff(failures: int, chance: float, retry_after: float | None = None) -> timedelta:
    """The pause after a number of faults in a row.

    Args:
        failures: Faults in a row, this one included; 1 or more.
        chance: A number in [0, 1): the pause is spread over the upper half of its range.
        retry_after: Seconds that the service asked for, or None.
    """
    ceiling = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(failures - 1, 16))
    return timedelta(seconds=max(ceiling * (0.5 + chance / 2), retry_after or 0.0))
