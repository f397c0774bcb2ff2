"""Values that one caller loads for all who wait, kept until they are too old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_Flight = tuple[asyncio.AbstractEventLoop, str]


class _Entry(NamedTuple, Generic[T]):
    value: T
    loaded_at: datetime


class SingleFlightCache(Generic[T]):
    """A cache whose expiry costs one load, however many callers meet it.

    Loads run in threads. A caller that is cancelled leaves the load to the others. Event loops share the
    values, but not loads in progress.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Begin empty; `now` is the clock."""
        self._now = now
        self._entries: dict[str, _Entry[T]] = {}
        self._flights: dict[_Flight, asyncio.Task[T]] = {}

    async def get(self, key: str, load: Callable[[], T], *, lifetime: timedelta) -> T:
        """Return the value of `key`, loaded anew if it is older than `lifetime`.

        Raises:
            Exception: Whatever `load` raises, to all who wait for it; the next caller loads again.
        """
        entry = self._entries.get(key)
        if entry is not None and self._now() - entry.loaded_at < lifetime:
            return entry.value
        flight = (asyncio.get_running_loop(), key)
        task = self._flights.get(flight)
        if task is None:
            task = self._flights[flight] = asyncio.create_task(self._load(flight, load))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(task)

    def discard(self, key: str, value: T | None = None) -> None:
        """Forget what is known of `key`, also a load in progress; with `value`, only if it is that value."""
        entry = self._entries.get(key)
        if value is not None and (entry is None or entry.value is not value):
            return
        self._entries.pop(key, None)
        for flight in [flight for flight in self._flights if flight[1] == key]:
            self._flights.pop(flight, None)

    async def _load(self, flight: _Flight, load: Callable[[], T]) -> T:
        this = asyncio.current_task()
        began = self._now()
        try:
            value = await asyncio.to_thread(load)
            if self._flights.get(flight) is this:
                self._entries[flight[1]] = _Entry(value, began)
            return value
        finally:
            if self._flights.get(flight) is this:
                del self._flights[flight]
