"""Concurrency slots: how many runs may train or have an endpoint at once, and whose turn it is.

The holders of a kind of slot are one list that is replaced as a whole (`Slots.replace`), so that two runs
that decide at the same moment cannot both acquire the last slot. The index says when a slot is free again.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.domain.run.index import IndexEntry
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage

_AHEAD = {
    SlotKind.TRAINING: frozenset({Stage.RECEIVED, Stage.VALIDATED}),
    SlotKind.ENDPOINT: frozenset({Stage.TRAINED, Stage.REGISTERED}),
}
"""Stages of runs that wait for a slot, or soon will."""


def current_holders(kind: SlotKind, listed: Iterable[str], entries: Iterable[IndexEntry]) -> frozenset[str]:
    """The runs that hold a slot.

    Args:
        kind: Of which kind.
        listed: The runs on the list of holders. Each keeps its slot until the index says that it is done with
            it; a run whose worker died finds its slot again.
        entries: The index, read after the list: a run that is not in the index holds nothing.
    """
    holders = frozenset(listed)
    return frozenset(
        entry.run_id
        for entry in entries
        if _uses(kind, entry) or (entry.run_id in holders and not _done(kind, entry))
    )


def may_acquire(
    run: Run, kind: SlotKind, holders: frozenset[str], entries: Iterable[IndexEntry], limit: int
) -> bool:
    """Whether it is a run's turn: first opened, first served, except that failing runs delay no others.

    Args:
        run: The run, which holds no slot of this kind yet.
        kind: The kind of slot.
        holders: The runs that hold one (`current_holders`).
        entries: The index.
        limit: Most holders at once; 0 is no limit.
    """
    turn = (run.opened_at, run.run_id)
    ahead = {
        entry.run_id
        for entry in entries
        if entry.stage in _AHEAD[kind]
        and entry.suspended is None
        and not entry.failing
        and entry.opened is not None
        and (entry.opened, entry.run_id) < turn
    }
    return limit == 0 or len((holders | ahead) - {run.run_id}) < limit


def may_still_use(kind: SlotKind, entry: IndexEntry) -> bool:
    """Whether a holder has yet to use its slot: that its job or endpoint is absent does not free the slot."""
    return entry.stage in _AHEAD[kind]


def _uses(kind: SlotKind, entry: IndexEntry) -> bool:
    """Whether a run may be using what the slot is for, listed or not."""
    if kind is SlotKind.TRAINING:
        return entry.training
    return entry.stage is not None and entry.stage.has_endpoint


def _done(kind: SlotKind, entry: IndexEntry) -> bool:
    """Whether a holder will never use its slot again."""
    if entry.stage is None:
        return False
    if kind is SlotKind.ENDPOINT:
        return entry.stage.at_rest
    return not entry.training and entry.stage not in _AHEAD[kind]
