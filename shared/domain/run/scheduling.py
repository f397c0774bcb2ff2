"""Choose which of the due runs are advanced now, and in what order.

A run that waits for a slot need not be looked at until its turn comes: however many wait, a tick looks at the
next in turn, and at a few others so that what they tell of their place stays roughly right.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from shared.domain.run.index import IndexEntry
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.slots import current_holders, in_turn
from shared.domain.run.stages import Stage

NEXT_IN_TURN = 8
"""Runs of each kind of slot that may be given one in a tick."""

OTHERS_WAITING = 2
"""Further runs that wait and are looked at in a tick, those first that were looked at longest ago."""

_NEVER = datetime.min.replace(tzinfo=UTC)


def runs_to_advance(entries: Iterable[IndexEntry], now: datetime) -> list[str]:
    """The runs to advance, in order: callers' requests and teardowns, which cost money, come first.

    Args:
        entries: The index.
        now: UTC.
    """
    listed = list(entries)
    due = [entry for entry in listed if entry.is_due(now)]
    chosen = [entry for entry in due if not _only_waits(entry)]
    for kind in SlotKind:
        turns = in_turn(kind, current_holders(kind, (), listed), listed)
        turns = [entry for entry in turns if entry.is_due(now) and not entry.asked]
        rest = sorted(turns[NEXT_IN_TURN:], key=_since)
        chosen += turns[:NEXT_IN_TURN] + rest[:OTHERS_WAITING]
    return [
        entry.run_id for entry in sorted(chosen, key=lambda entry: (not _is_urgent(entry), *_since(entry)))
    ]


def _only_waits(entry: IndexEntry) -> bool:
    """Whether nothing but a free slot can bring the run further."""
    return entry.waits and not entry.asked


def _is_urgent(entry: IndexEntry) -> bool:
    # A live run is due when its time is up.
    return entry.asked or entry.stage in {Stage.DELETING, Stage.LIVE}


def _since(entry: IndexEntry) -> tuple[datetime, str]:
    return entry.due or _NEVER, entry.run_id
