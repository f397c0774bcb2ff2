"""Turns on an endpoint: as many at once as its servers work on, in order, and a wait that has an end."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from shared.domain.errors import ScoringError
from shared.domain.serving.record import BATCH_ROUTE, Serving, StrategyName
from shared.ports import ScoringTarget
from shared.serving.admission import Admission

LONG = 60.0
SERVING = Serving(strategy=StrategyName.MLFLOW, route=BATCH_ROUTE, concurrency=2, instances=1)
TARGET = ScoringTarget("ft-support", "https://host/score", "key", SERVING)


class Crowd:
    """Requests that take turns.

    Attributes:
        order: Numbers of the requests, as they got their turns.
    """

    def __init__(self, admission: Admission, target: ScoringTarget = TARGET) -> None:
        self.admission = admission
        self.target = target
        self.order: list[int] = []
        self.go = asyncio.Semaphore(0)

    async def ask(self, number: int) -> None:
        """Take a turn, and give it back when told to."""
        async with self.admission.admit(self.target):
            self.order.append(number)
            await self.go.acquire()

    async def begin(self, number: int) -> asyncio.Task[None]:
        """Ask, up to where it waits."""
        task = asyncio.create_task(self.ask(number))
        await asyncio.sleep(0)
        return task


async def test_turns_are_taken_in_the_order_of_asking() -> None:
    """Two at once; each that ends lets the next one in, and nobody overtakes."""
    crowd = Crowd(Admission(LONG))
    tasks = [await crowd.begin(number) for number in range(6)]
    assert crowd.order == [0, 1]
    for ended in range(1, 5):
        crowd.go.release()
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        tasks = [task for task in tasks if not task.done()]
        while len(crowd.order) < ended + 2:
            await asyncio.sleep(0)
        assert crowd.order == list(range(ended + 2))
    for _ in range(2):
        crowd.go.release()
    await asyncio.gather(*tasks)


async def test_the_wait_has_an_end() -> None:
    """429 with a pause for whoever waited in vain; the turn goes to the next one all the same."""
    crowd = Crowd(Admission(0.01))
    inside = [await crowd.begin(number) for number in range(2)]
    with pytest.raises(ScoringError) as caught:
        await crowd.ask(2)
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "TooManyRequests", 1.0)
    for _ in range(3):
        crowd.go.release()
    await asyncio.gather(*inside)
    await crowd.ask(3)
    assert crowd.order == [0, 1, 3]


async def test_with_no_wait_a_free_turn_is_taken_all_the_same() -> None:
    """0 seconds refuse at once, and only when there is no turn."""
    crowd = Crowd(Admission(0))
    inside = [await crowd.begin(number) for number in range(2)]
    assert crowd.order == [0, 1]
    with pytest.raises(ScoringError):
        await crowd.ask(2)
    for task in inside:
        task.cancel()


async def test_a_caller_that_leaves_the_queue_holds_nobody_up() -> None:
    """A cancelled request gives its turn back, or never takes one."""
    crowd = Crowd(Admission(LONG))
    inside = [await crowd.begin(number) for number in range(2)]
    leaving, staying = await crowd.begin(2), await crowd.begin(3)
    leaving.cancel()
    inside[0].cancel()
    while 3 not in crowd.order:
        await asyncio.sleep(0)
    assert crowd.order == [0, 1, 3]
    for task in (*inside, staying):
        task.cancel()


async def test_each_endpoint_has_turns_of_its_own_as_many_as_its_instances_serve() -> None:
    """A full endpoint keeps nobody from another; two instances serve twice as many."""
    admission = Admission(0)
    busy = Crowd(admission)
    wide = Crowd(
        admission, TARGET._replace(name="ft-wide", serving=msgspec.structs.replace(SERVING, instances=2))
    )
    tasks = [await crowd.begin(number) for crowd, count in ((busy, 2), (wide, 4)) for number in range(count)]
    assert (busy.order, wide.order) == ([0, 1], [0, 1, 2, 3])
    for crowd in (busy, wide):
        with pytest.raises(ScoringError):
            await crowd.ask(9)
    for task in tasks:
        task.cancel()
