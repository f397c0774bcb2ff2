"""Timers: six-field schedules, one invocation at a time each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from croniter import croniter

from emulators.functions import UnservableAppError

log = logging.getLogger("host.timer")

PAST_DUE = timedelta(seconds=1)
"""An invocation that starts later than this after its tick is past due."""


class Timer:
    """Calls back at each tick of a schedule, in UTC as Flex Consumption does.

    A tick that falls while the invocation before still runs is made up for at once, as past due; more
    than one collapse into one.
    """

    def __init__(self, name: str, schedule: str, fire: Callable[[bool], Awaitable[object]]) -> None:
        """Check the schedule; `run` starts the timer.

        Args:
            name: Of the function, for the log.
            schedule: NCRONTAB, seconds first; five fields start at the minute.
            fire: Called with whether the invocation is past due.

        Raises:
            UnservableAppError: The schedule cannot be read.
        """
        self._name = name
        self._schedule = schedule
        self._fire = fire
        try:
            self._iterate(datetime.now(UTC))
        except ValueError as error:
            raise UnservableAppError(
                f"{name}: {schedule!r} is no schedule, seconds first: {error}"
            ) from error

    async def run(self) -> None:
        """Tick until cancelled. A failed invocation is logged, and the timer goes on."""
        due = self.next_after(datetime.now(UTC))
        while True:
            await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
            started = datetime.now(UTC)
            if started < due:
                continue  # the loop's clock ran ahead of the wall clock
            try:
                await self._fire(started - due > PAST_DUE)
            except Exception as error:  # the next tick comes whatever this one met
                log.warning("Timer invocation failed", extra={"function": self._name, "error": str(error)})
            due = self.due_after(due, datetime.now(UTC))

    def next_after(self, moment: datetime) -> datetime:
        """The first tick later than a moment."""
        tick: datetime = self._iterate(moment).get_next(datetime)
        return tick

    def due_after(self, served: datetime, now: datetime) -> datetime:
        """The tick to serve next.

        Args:
            served: The tick whose invocation has just ended.
            now: When it ended. Of the ticks missed until then only the last is made up for: a backlog is
                never answered with a burst.
        """
        last_missed: datetime = self._iterate(now).get_prev(datetime)
        return max(self.next_after(served), last_missed)

    def _iterate(self, moment: datetime) -> Any:
        return croniter(self._schedule, moment, second_at_beginning=True)
