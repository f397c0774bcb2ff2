"""How many answers the containers are generating, have finished, and have given up. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Counts(msgspec.Struct):
    """Generations of one deployment.

    Attributes:
        in_progress: Under way now.
        most_in_progress: The most that were ever under way at once.
        completed: Ended by themselves.
        aborted: Ended early: by a client that disconnected, a timeout, or a fault.
    """

    in_progress: int = 0
    most_in_progress: int = 0
    completed: int = 0
    aborted: int = 0


class Generations:
    """Counts by ``endpoint/deployment``."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}
        self._lock = threading.Lock()

    @contextmanager
    def one(self, deployment: str) -> Iterator[None]:
        """Counts a generation for as long as the context lasts."""
        with self._lock:
            counts = self._counts.setdefault(deployment, Counts())
            counts.in_progress += 1
            counts.most_in_progress = max(counts.most_in_progress, counts.in_progress)
        whole = False
        try:
            yield
            whole = True
        finally:
            with self._lock:
                counts.in_progress -= 1
                counts.completed += whole
                counts.aborted += not whole

    def all(self) -> dict[str, Counts]:
        """The counts so far."""
        with self._lock:
            return {name: msgspec.structs.replace(counts) for name, counts in self._counts.items()}

    def clear(self) -> None:
        """Forgets the counts."""
        with self._lock:
            self._counts.clear()
