"""Timers: schedules, lateness, and one invocation at a time."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from emulators.functions import UnservableAppError
from emulators.functions.timers import Timer
from tests.host.conftest import StartHost, take


async def ignore(past_due: bool) -> None:
    """Do nothing."""


def test_schedules_begin_with_seconds() -> None:
    """Six fields begin with seconds, five with minutes; ticks are in UTC."""
    moment = datetime(2026, 3, 1, 9, 59, 30, tzinfo=UTC)
    assert Timer("t", "15 */15 * * * *", ignore).next_after(moment) == datetime(
        2026, 3, 1, 10, 0, 15, tzinfo=UTC
    )
    assert Timer("t", "*/15 * * * *", ignore).next_after(moment) == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize("schedule", ["", "* * *", "61 * * * * *", "every minute", "00:05:00"])
def test_schedules_that_cannot_be_read_stop_the_host(schedule: str) -> None:
    """The error names the function and the schedule."""
    with pytest.raises(UnservableAppError, match="clean_up"):
        Timer("clean_up", schedule, ignore)


@pytest.mark.parametrize(("seconds", "due"), [(0.3, 1), (1.3, 1), (5.5, 5)])
def test_only_the_last_missed_tick_is_made_up_for(seconds: float, due: int) -> None:
    """After an invocation of so many seconds, the tick that comes next in a schedule of each second."""
    served = datetime(2026, 3, 1, 10, 0, 0, tzinfo=UTC)
    next_due = Timer("t", "* * * * * *", ignore).due_after(served, served + timedelta(seconds=seconds))
    assert next_due == served + timedelta(seconds=due)


async def test_a_timer_never_runs_beside_itself() -> None:
    """Ticks during a long invocation are made up for by one that is past due, not by a burst."""
    running = 0
    seen: list[bool] = []
    enough = asyncio.Event()

    async def fire(past_due: bool) -> None:
        nonlocal running
        running += 1
        assert running == 1
        seen.append(past_due)
        await asyncio.sleep(2.2 if len(seen) == 1 else 0)
        running -= 1
        if len(seen) == 3:
            enough.set()

    task = asyncio.create_task(Timer("t", "* * * * * *", fire).run())
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(20):
        await enough.wait()
    task.cancel()
    # First tick within 1 s, 2.2 s long, one made up for at once, the third on the next full second.
    assert 2.2 <= asyncio.get_running_loop().time() - started < 6


async def test_a_failing_timer_goes_on() -> None:
    """An exception in one invocation does not end the timer."""
    fired: list[bool] = []
    enough = asyncio.Event()

    async def fire(past_due: bool) -> None:
        fired.append(past_due)
        if len(fired) == 2:
            enough.set()
        raise RuntimeError("always")

    task = asyncio.create_task(Timer("t", "* * * * * *", fire).run())
    async with asyncio.timeout(10):
        await enough.wait()
    task.cancel()


def test_a_timer_function_ticks(start_host: StartHost) -> None:
    """A function scheduled for every second runs every second, its outputs sent."""
    host = start_host("work", settings={"SCHEDULE": "* * * * * *"})
    assert [json.loads(tick) for tick in take(host.queue("results"), 2)][:2] == [{"tick": False}] * 2
