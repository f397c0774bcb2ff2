"""Take one of the places that there are so many of, when it is a run's turn."""

from __future__ import annotations

from shared.domain.places import Place, may_take, taken
from shared.domain.run import Run
from shared.ports import Services


def take_place(run: Run, place: Place, limit: int, services: Services) -> bool:
    """Whether the run has a place, from now on until it needs it no more.

    The list of those that have one is written over the version that was read or not at all, so that there
    are never more than `limit`: who loses to another decides again. A run that dies when it has taken a place
    has it still when it is advanced next, and nobody waits for a lock.

    Args:
        run: Who asks.
        place: What for.
        limit: Most at once; 0 is no limit.
        services: The ports.
    """
    if limit == 0:
        return True
    while True:
        listed, etag = services.claims.places(place)
        if run.run_id in listed:
            return True
        # Read after the list: who is on the list and not in the index is no more.
        entries = list(services.runs.entries())
        holders = taken(place, listed, entries)
        if not may_take(run, place, holders, entries, limit):
            return False
        if services.claims.replace_places(place, holders | {run.run_id}, etag):
            return True
