"""Budget guards: how many runs may train or have an endpoint at once, and whose turn it is.

Whoever takes a place is put on a list that is replaced as a whole (`Claims.replace_places`), so that two runs
that decide at the same moment cannot both take the last one. The index says when a place is free again.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from shared.domain.index import IndexEntry
from shared.domain.run import Run
from shared.domain.stages import Stage


class Place(StrEnum):
    """What there are only so many of."""

    TRAINING = "training"
    ENDPOINT = "endpoint"


_AHEAD = {
    Place.TRAINING: frozenset({Stage.RECEIVED, Stage.VALIDATED}),
    Place.ENDPOINT: frozenset({Stage.TRAINED, Stage.REGISTERED}),
}
"""Where runs are that wait for a place, or soon will."""

_WITH_ENDPOINT = frozenset({Stage.DEPLOYING, Stage.LIVE, Stage.DELETING})


def taken(place: Place, listed: Iterable[str], entries: Iterable[IndexEntry]) -> frozenset[str]:
    """The runs that a place is taken by.

    Args:
        place: Which.
        listed: The runs that were given one. Each keeps it until the index says that it is done with it; a
            run that died on its way finds it again.
        entries: The index, read after the list: a run that is not in it is no more.
    """
    holders = frozenset(listed)
    return frozenset(
        entry.run_id
        for entry in entries
        if _uses(place, entry) or (entry.run_id in holders and not _done(place, entry))
    )


def may_take(
    run: Run, place: Place, holders: frozenset[str], entries: Iterable[IndexEntry], limit: int
) -> bool:
    """Whether it is a run's turn: first opened, first served, but nobody waits for one that keeps failing.

    Args:
        run: Who asks; it has no place yet.
        place: What for.
        holders: The runs that have one (`taken`).
        entries: The index.
        limit: Most at once; 0 is no limit.
    """
    turn = (run.opened_at, run.run_id)
    ahead = {
        entry.run_id
        for entry in entries
        if entry.stage in _AHEAD[place]
        and entry.parked is None
        and not entry.failing
        and entry.opened is not None
        and (entry.opened, entry.run_id) < turn
    }
    return limit == 0 or len((holders | ahead) - {run.run_id}) < limit


def yet_to_use(place: Place, entry: IndexEntry) -> bool:
    """Whether a run that was given a place may still use it: that nothing is there yet frees nothing."""
    return entry.stage in _AHEAD[place]


def _uses(place: Place, entry: IndexEntry) -> bool:
    """Whether a run may be using what the place is for, listed or not."""
    return entry.training if place is Place.TRAINING else entry.stage in _WITH_ENDPOINT


def _done(place: Place, entry: IndexEntry) -> bool:
    """Whether a run that had the place will never use it again."""
    if entry.stage is None:
        return False
    if place is Place.ENDPOINT:
        return entry.stage.terminal
    return not entry.training and entry.stage not in _AHEAD[place]
