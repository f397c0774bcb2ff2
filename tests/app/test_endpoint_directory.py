"""The directory of endpoints: an entry that has expired is loaded once, however many requests meet it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.domain.errors import RequestError, UnknownRunError
from shared.domain.run.stages import Stage
from shared.serving.endpoint_directory import LISTED_AGAIN, LISTED_FOR, EndpointDirectory
from shared.single_flight import SingleFlightCache
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.fakes import World

MANY = 64


class Counted:
    """Counts the calls of a function, and can hold them up."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self.calls = 0
        self.go = threading.Event()
        self.go.set()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the call."""
        self.calls += 1
        assert self.go.wait(30)
        return self._call(*args, **kwargs)


@pytest.fixture
def world() -> World:
    """One live run, whose record and listing are counted."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    for name in ("load", "entries"):
        setattr(world.runs, name, Counted(getattr(world.runs, name)))
    return world


async def test_many_requests_read_the_record_and_the_list_once(world: World) -> None:
    """At first, and again whenever what is known has expired."""
    directory = EndpointDirectory(world.services)
    for times in (1, 2):
        found = await asyncio.gather(*(directory.resolve_model("support") for _ in range(MANY)))
        assert {target.name for target in found} == {RUN_ID}
        assert (world.runs.load.calls, world.runs.entries.calls) == (times, times)  # type: ignore[attr-defined]
        world.now += LISTED_FOR


async def test_what_fails_fails_for_all_who_wait_and_is_tried_again(world: World) -> None:
    """An unknown endpoint is looked up once for a burst, and once more for the next."""
    directory = EndpointDirectory(world.services)
    for times in (1, 2):
        answers = await asyncio.gather(
            *(directory.resolve("ft-nobody-0123456789") for _ in range(MANY)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {UnknownRunError}
        assert world.runs.load.calls == times  # type: ignore[attr-defined]


async def test_requests_for_unknown_models_cost_few_listings(world: World) -> None:
    """One in two seconds, whatever they are called."""
    directory = EndpointDirectory(world.services)
    for times in (1, 2):
        for number in range(MANY):
            with pytest.raises(RequestError, match="no live model"):
                await directory.resolve_model(f"nonsense-{number}")
        assert world.runs.entries.calls == times  # type: ignore[attr-defined]
        world.now += LISTED_AGAIN


async def test_a_caller_that_leaves_takes_nothing_from_the_others(world: World) -> None:
    """The first of those who wait is cancelled; the others get what it had asked for."""
    directory = EndpointDirectory(world.services)
    world.runs.load.go.clear()  # type: ignore[attr-defined]
    first, second = (asyncio.create_task(directory.resolve(RUN_ID)) for _ in range(2))
    while not world.runs.load.calls:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    first.cancel()
    world.runs.load.go.set()  # type: ignore[attr-defined]
    assert (await second).name == RUN_ID
    assert world.runs.load.calls == 1  # type: ignore[attr-defined]


async def test_what_was_forgotten_is_not_kept_by_a_load_that_began_before() -> None:
    """A load in progress answers those who wait for it, and nobody after."""
    cache: SingleFlightCache[int] = SingleFlightCache(lambda: NOW)
    load = Counted(lambda: load.calls)
    load.go.clear()
    waiting = asyncio.create_task(cache.get("key", load, lifetime=timedelta(minutes=1)))
    while not load.calls:
        await asyncio.sleep(0)
    cache.discard("key")
    load.go.set()
    assert await waiting == 1
    assert await cache.get("key", load, lifetime=timedelta(minutes=1)) == 2


async def test_a_value_that_was_replaced_is_not_discarded_with_its_predecessor() -> None:
    """Of many who found the old one bad, only the first has a new one loaded."""
    cache: SingleFlightCache[list[int]] = SingleFlightCache(lambda: NOW)
    load = Counted(lambda: [load.calls])
    old = await cache.get("key", load, lifetime=timedelta(minutes=1))
    for _ in range(MANY):
        cache.discard("key", old)
        await cache.get("key", load, lifetime=timedelta(minutes=1))
    assert load.calls == 2


@pytest.mark.parametrize(("idle_minutes", "pause"), [(1, 30), (1, 40), (2, 60), (60, 1800)])
async def test_a_model_in_constant_use_never_idles(idle_minutes: float, pause: float) -> None:
    """Two instances of the app serve it in turn, each with its own idea of when it was used last."""
    world = World()
    run = a_run(Stage.LIVE)
    options = msgspec.structs.replace(run.options, idle_minutes=idle_minutes)
    world.runs.create(msgspec.structs.replace(run, options=options))
    instances = [EndpointDirectory(world.services), EndpointDirectory(world.services)]
    for number in range(40):
        await instances[number % 3 == 0].resolve(RUN_ID)
        world.now += timedelta(seconds=pause)
        idle_at = world.runs.load(RUN_ID).run.idle_at
        assert idle_at is not None
        assert idle_at > world.now, number
