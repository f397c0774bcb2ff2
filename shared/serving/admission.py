"""Limit concurrent requests to an endpoint; further requests wait for a free turn, with a timeout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from shared.domain.errors import ScoringError
from shared.ports import ScoringTarget


class _Limiter(NamedTuple):
    capacity: int
    turns: asyncio.Semaphore


class Admission:
    """First come, first served, for each endpoint by itself; of this process alone.

    Every call must be on the same event loop.
    """

    def __init__(self, wait_seconds: float) -> None:
        """Begin without requests; `wait_seconds` is the longest wait for a turn."""
        self._wait = wait_seconds
        self._limiters: dict[str, _Limiter] = {}

    @asynccontextmanager
    async def admit(self, target: ScoringTarget) -> AsyncIterator[None]:
        """Take a turn, and give it back when the context ends.

        Raises:
            ScoringError: 429 with a pause, if none was free in time.
        """
        turns = self._gate(target).turns
        try:
            async with asyncio.timeout(self._wait if turns.locked() else None):
                await turns.acquire()
        except TimeoutError as fault:
            message = (
                f"{target.name} is busy: the request waited {self._wait:g} s for a free turn; try again later"
            )
            raise ScoringError(
                429, message, code="TooManyRequests", retry_after=max(1.0, self._wait)
            ) from fault
        try:
            yield
        finally:
            turns.release()

    def _gate(self, target: ScoringTarget) -> _Limiter:
        capacity = target.serving.concurrency * target.serving.instances
        gate = self._limiters.get(target.name)
        if gate is None or gate.capacity != capacity:
            gate = self._limiters[target.name] = _Limiter(capacity, asyncio.Semaphore(capacity))
        return gate
