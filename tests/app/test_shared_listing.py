"""Many who list at once cost two listings, and none gets what is older than its question."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.adapters.storage.shared_listing import SharedListing

pytestmark = pytest.mark.unit

CALLERS = 20


class Listings:
    """Counts listings; the first one lasts until it is let go."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False
        self.begun, self.let_go = threading.Event(), threading.Event()

    def read(self) -> list[int]:
        """A list of how many listings there were, this one too."""
        self.count += 1
        number = self.count
        if number == 1:
            self.begun.set()
            assert self.let_go.wait(10)
        if self.fails:
            raise OSError(f"listing {number}")
        return [number]


def test_who_asks_during_a_listing_shares_the_next() -> None:
    """What was being listed when they asked may lack what they look for."""
    clock = [0.0]
    listings = Listings()
    shared = SharedListing(listings.read, lambda: clock[0])
    with ThreadPoolExecutor(CALLERS + 1) as pool:
        first = pool.submit(shared.get)
        assert listings.begun.wait(10)
        clock[0] = 1.0
        asked = threading.Barrier(CALLERS + 1)

        def ask() -> object:
            asked.wait(10)
            return shared.get()

        others = [pool.submit(ask) for _ in range(CALLERS)]
        asked.wait(10)
        listings.let_go.set()
        assert first.result() == [1]
        assert {other.result()[0] for other in others} == {2}  # type: ignore[index]
    assert listings.count == 2


def test_what_is_not_too_old_is_not_listed_again() -> None:
    """By the time at which the listing began; a fault is never taken for newer than it is."""
    clock = [0.0]
    listings = Listings()
    listings.let_go.set()
    shared = SharedListing(listings.read, lambda: clock[0])
    assert shared.get() == [1]
    clock[0] = 9.0
    assert shared.get(max_age=10) == [1]
    clock[0] = 11.0
    assert shared.get(max_age=10) == [2]
    listings.fails = True
    clock[0] = 12.0
    with pytest.raises(OSError, match="listing 3"):
        shared.get()
    clock[0], listings.fails = 13.0, False
    assert shared.get(max_age=10) == [4]
