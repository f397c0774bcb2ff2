"""Concurrency slots: limit how many runs train or have an endpoint at once, and choose the next run.

The holders of a kind of slot are one list that is replaced as a whole (`Slots.replace`), so that two runs
that decide at the same moment cannot both acquire the last slot. The index says when a slot is free again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from shared.domain.run.index import BEFORE_USE, IndexEntry
from shared.domain.run.index_metadata import entry_of
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import SlotKind

_NEVER = datetime.min.replace(tzinfo=UTC)


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
    """Whether it is a run's turn.

    Slots go round between the names of datasets (`fair_share_name`), and within a name to whoever was opened
    first: the next one goes to the name that holds the fewest, or was served longest ago. No name holds all.
    Only runs that asked for a slot are waited for: not those that are being validated, wait for a cluster,
    are suspended, or keep failing.

    Args:
        run: The run, which holds no slot of this kind yet.
        kind: The kind of slot. An endpoint takes as many as it has VMs.
        holders: The runs that hold one (`current_holders`).
        entries: The index.
        limit: Most slots at once; 0 is no limit.
    """
    if limit == 0:
        return True
    mine = entry_of(run)
    return mine in _granted(kind, holders, entries, limit, mine)


def whose_turn(
    kind: SlotKind, holders: frozenset[str], entries: Iterable[IndexEntry], limit: int
) -> list[str]:
    """The waiting runs that may have a slot now, in the order of their turns."""
    return [entry.run_id for entry in _granted(kind, holders, entries, limit)]


def frees_slot(kind: SlotKind, before: Run, after: Run) -> bool:
    """Whether a run is done with its slot of that kind after what happened to it, and was not before."""
    if (
        before.holds_slot(kind)
        and after.slot is not None
        and after.slot.kind is kind
        and not after.slot.acquired
    ):
        return True
    was, now = entry_of(before), entry_of(after)
    held = before.holds_slot(kind) or after.holds_slot(kind) or _uses(kind, was)
    return held and not _done(kind, was) and _done(kind, now)


def _granted(
    kind: SlotKind,
    holders: frozenset[str],
    entries: Iterable[IndexEntry],
    limit: int,
    mine: IndexEntry | None = None,
) -> list[IndexEntry]:
    """Who gets the free slots, in turn. A run that needs more than are free keeps those for itself."""
    held, turns = _shares(kind, holders, entries, mine)
    free, granted = limit - held.total(), []
    for entry in turns:
        name, slots = fair_share_name(entry.dataset), _slots_of(kind, entry)
        if held[name] and held[name] + slots > limit - 1:
            continue
        if slots > free:
            break
        free -= slots
        held[name] += slots
        granted.append(entry)
    return granted


def standing(
    run: Run, kind: SlotKind, holders: frozenset[str], entries: Iterable[IndexEntry]
) -> tuple[int, int]:
    """How many slots are in use, and a waiting run's place in the order of turns, from 1."""
    mine = entry_of(run)
    held, turns = _shares(kind, holders, entries, mine)
    return held.total(), 1 + turns.index(mine)


def in_turn(kind: SlotKind, holders: frozenset[str], entries: Iterable[IndexEntry]) -> list[IndexEntry]:
    """The runs among `entries` that wait for a slot, in the order of their turns."""
    return _shares(kind, holders, entries)[1]


def usage(kind: SlotKind, holders: frozenset[str], entries: Iterable[IndexEntry]) -> tuple[int, int]:
    """How many slots are in use, and how many runs wait for one."""
    held, turns = _shares(kind, holders, entries)
    return held.total(), len(turns)


def fair_share_name(dataset: str) -> str:
    """What a dataset counts as when slots are shared: `support`, `support-2` and `Support_2026-3` are one."""
    name = dataset.casefold()
    return name.rstrip("0123456789-_. ") or name


def may_still_use(kind: SlotKind, entry: IndexEntry) -> bool:
    """Whether a holder has yet to use its slot: that its job or endpoint is absent does not free the slot."""
    return entry.stage in BEFORE_USE[kind]


def _shares(
    kind: SlotKind, holders: frozenset[str], entries: Iterable[IndexEntry], mine: IndexEntry | None = None
) -> tuple[Counter[str], list[IndexEntry]]:
    """The slots that each name holds, and who waits, in turn; `mine` waits, whatever the index has of it."""
    others = [entry for entry in entries if mine is None or entry.run_id != mine.run_id]
    held: Counter[str] = Counter()
    for entry in others:
        if entry.run_id in holders:
            held[fair_share_name(entry.dataset)] += _slots_of(kind, entry)
    waiting = [entry for entry in others if entry.run_id not in holders and _waits(kind, entry)]
    if mine is not None:
        waiting.append(mine)
    return held, _in_turn(kind, waiting, held, _last_served(others))


def _last_served(entries: Iterable[IndexEntry]) -> dict[str, datetime]:
    """When each name last acquired a slot, so that one slot goes round, too."""
    served: dict[str, datetime] = {}
    for entry in entries:
        if entry.slot_acquired is not None:
            name = fair_share_name(entry.dataset)
            served[name] = max(entry.slot_acquired, served.get(name, _NEVER))
    return served


def _in_turn(
    kind: SlotKind,
    waiting: Iterable[IndexEntry],
    held: Mapping[str, int],
    served: Mapping[str, datetime],
) -> list[IndexEntry]:
    """The waiting runs in the order in which slots are theirs."""
    owed = Counter(held)
    turns = []
    for entry in sorted(waiting, key=lambda entry: (entry.opened or _NEVER, entry.run_id)):
        name = fair_share_name(entry.dataset)
        turn = (owed[name], served.get(name, _NEVER), entry.opened or _NEVER, entry.run_id)
        turns.append((turn, entry))
        owed[name] += _slots_of(kind, entry)
    return [entry for _, entry in sorted(turns, key=lambda each: each[0])]


def _waits(kind: SlotKind, entry: IndexEntry) -> bool:
    return entry.waits and entry.waits_for is kind


def _slots_of(kind: SlotKind, entry: IndexEntry) -> int:
    return entry.instances if kind is SlotKind.ENDPOINT else 1


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
    return not entry.training and entry.stage not in BEFORE_USE[kind]
