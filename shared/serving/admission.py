"""No more requests to an endpoint at once than its servers work on; others wait their turn, for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from shared.domain.errors import ScoringError
from shared.ports import ScoringTarget


class _Gate(NamedTuple):
    capacity: int
    turns: asyncio.Semaphore


class Admission:
    """First come, first served, for each endpoint by itself; of this process alone.

    Every call must be on the same event loop.
    """

    def __init__(self, wait_seconds: float) -> None:
        """Let everybody in yet; `wait_seconds` is how long a request may wait for its turn."""
        self._wait = wait_seconds
        self._gates: dict[str, _Gate] = {}

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
            message = f"{target.name} works on as many requests as it can; waited {self._wait:g} s for a turn"
            raise ScoringError(
                429, message, code="TooManyRequests", retry_after=max(1.0, self._wait)
            ) from fault
        try:
            yield
        finally:
            turns.release()

    def _gate(self, target: ScoringTarget) -> _Gate:
        capacity = target.serving.concurrency * target.serving.instances
        gate = self._gates.get(target.name)
        if gate is None or gate.capacity != capacity:
            gate = self._gates[target.name] = _Gate(capacity, asyncio.Semaphore(capacity))
        return gate
