"""A weekly schedule of when a model is to answer: `Mon-Fri 07:00-19:00 Europe/Berlin`.

Times are those of the zone's clocks, summer time and all: zones are those of the IANA database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EXAMPLE = "Mon-Fri 07:00-19:00 Europe/Berlin"

_FORM = re.compile(r"(\S+) ([0-2]\d:[0-5]\d)-([0-2]\d:[0-5]\d) ([A-Za-z][A-Za-z0-9_+/-]{0,63})")


class Hours(NamedTuple):
    """When a model answers.

    Attributes:
        days: Of the opening, 0 for Monday.
        opens: On those days, by the zone's clocks.
        closes: The same day, or the next if it is not later than `opens`.
    """

    days: frozenset[int]
    opens: time
    closes: time
    zone: ZoneInfo

    def opening_after(self, moment: datetime) -> datetime:
        """The first opening later than `moment` (UTC)."""
        return next(opens for opens, _ in self._spans(moment) if opens > moment)

    def closing_after(self, moment: datetime) -> datetime:
        """The first closing later than `moment` (UTC)."""
        return next(closes for _, closes in self._spans(moment) if closes > moment)

    def is_open(self, moment: datetime) -> bool:
        """Whether the model is to answer at `moment`."""
        opens, _ = next(span for span in self._spans(moment) if span[1] > moment)
        return opens <= moment

    def _spans(self, around: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Opening and closing (UTC), in order, from before `around` on."""
        first = around.astimezone(self.zone).date() - timedelta(days=2)
        for offset in range(12):
            day = first + timedelta(days=offset)
            if day.weekday() in self.days:
                ends = day if self.closes > self.opens else day + timedelta(days=1)
                yield self._utc(day, self.opens), self._utc(ends, self.closes)

    def _utc(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, tzinfo=self.zone).astimezone(UTC)


@lru_cache(maxsize=64)
def read_hours(text: str) -> Hours:
    """Read a schedule.

    Raises:
        ValueError: Saying what is wrong with it.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"must be days, times and a zone, e.g. `{EXAMPLE}`")
    days, opens, closes, zone = found.groups()
    try:
        hours = Hours(_days(days), time.fromisoformat(opens), time.fromisoformat(closes), ZoneInfo(zone))
    except (ZoneInfoNotFoundError, OSError) as fault:
        raise ValueError(f"names no time zone of the IANA database: {zone}") from fault
    return hours


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            start, end = DAYS.index(first), DAYS.index(last or first)
        except ValueError as fault:
            raise ValueError(f"has days {text}; use {', '.join(DAYS)}, or Mon-Fri") from fault
        found.update(range(start, end + 1) if start <= end else [*range(start, 7), *range(end + 1)])
    return frozenset(found)


def hours_of(text: str) -> Hours | None:
    """The schedule of a run's options; None if it is to answer at all times, or has none that can be read."""
    return None if fault_of_hours(text) or not text else read_hours(text)


def fault_of_hours(text: str) -> str | None:
    """What is wrong with a schedule, or None."""
    try:
        if text:
            read_hours(text)
    except ValueError as fault:
        return str(fault)
    return None
