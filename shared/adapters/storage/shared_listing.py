"""One listing for all who ask at the same time: each takes the client and the service up to a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedListing(Generic[T]):
    """Lists for one caller at a time; whoever waits meanwhile shares the next listing.

    A caller gets nothing that was listed before it asked, unless it allows that, and no older fault at all.
    """

    def __init__(self, read: Callable[[], Sequence[T]], clock: Callable[[], float] = time.monotonic) -> None:
        """List nothing yet.

        Args:
            read: Lists.
            clock: Seconds.
        """
        self._read = read
        self._clock = clock
        self._turn = threading.Lock()
        self._began = float("-inf")
        self._listed: Sequence[T] = ()
        self._fault: Exception | None = None

    def get(self, max_age: float = 0.0) -> Sequence[T]:
        """What a listing says that began at most `max_age` seconds ago, or later.

        Raises:
            Exception: Whatever the listing raised, to all who waited for it.
        """
        asked = self._clock()
        with self._turn:
            # What failed is no younger for having failed a moment ago.
            if self._began < (asked if self._fault is not None else asked - max_age):
                self._list()
            if self._fault is not None:
                raise self._fault
            return self._listed

    def _list(self) -> None:
        self._began, self._fault = self._clock(), None
        try:
            self._listed = self._read()
        except Exception as fault:
            # All who waited get it at once, instead of each waiting for a service that does not answer.
            self._fault = fault
