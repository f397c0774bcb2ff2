"""Acquire a concurrency slot when it is a run's turn."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from shared.config import Settings
from shared.domain.errors import FinetuneError
from shared.domain.limits import Limits
from shared.domain.run.index import IndexEntry
from shared.domain.run.orphan_policy import may_cancel_job, outlives_its_run
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import SlotKind, SlotRequest
from shared.domain.run.slots import (
    current_holders,
    frees_slot,
    may_acquire,
    may_still_use,
    standing,
    whose_turn,
)
from shared.logs import get_logger
from shared.ports import Services

_log = get_logger(__name__)

ATTEMPTS = 20
"""How often a run asks again at once when other runs changed the list of holders meanwhile."""

REFUSED_BY = timedelta(seconds=30)
"""How old the index may be that a run is refused by: two hundred that ask in a minute list it twice."""


def request_slot(run: Run, kind: SlotKind, settings: Settings, services: Services) -> SlotRequest:
    """Acquire a slot, which the run then holds until it needs it no more; a holder keeps what it has.

    The list of holders is replaced under the ETag that was read, so that there are never more holders than
    the settings allow: a run that loses to another decides again. A run whose worker dies after acquiring
    still holds its slot when it is advanced next, and no other run waits for a lock.

    Args:
        run: The run that needs the slot.
        kind: What for.
        settings: The app's settings.
        services: The ports.

    Returns:
        The answer: whether the run holds a slot, or how it stands among those that wait. A run that lost
        `ATTEMPTS` times in a row asks again later.
    """
    now = services.now()
    acquired = SlotRequest(kind=kind, acquired=True, at=now)
    limit = _limit(kind, settings)
    if limit == 0:
        return acquired
    for _ in range(ATTEMPTS):
        listed, etag = services.slots.holders(kind)
        if run.run_id in listed:
            return acquired
        # An index that was read a moment ago is enough to be refused by, not to be given a slot by.
        for max_age in (REFUSED_BY, timedelta()):
            # Read after the list: a run that is on the list and not in the index no longer exists.
            entries = services.runs.entries(max_age=max_age)
            holders = current_holders(kind, listed, entries)
            if not may_acquire(run, kind, holders, entries, limit):
                holders -= _released(kind, holders, entries, settings.limits(), services)
                if not may_acquire(run, kind, holders, entries, limit):
                    in_use, position = standing(run, kind, holders, entries)
                    return SlotRequest(
                        kind=kind, acquired=False, at=now, in_use=in_use, limit=limit, position=position
                    )
        if services.slots.replace(kind, holders | {run.run_id}, etag):
            return acquired
    return SlotRequest(kind=kind, acquired=False, at=now)


def pass_on_slots(before: Run, after: Run, settings: Settings, services: Services) -> None:
    """If a run is done with a slot, wake the runs that are next in turn: no other of those that wait.

    A message that is lost costs time alone: the timer looks at those that are next in turn.
    """
    for kind in SlotKind:
        limit = _limit(kind, settings)
        if limit == 0 or not frees_slot(kind, before, after):
            continue
        try:
            listed, _ = services.slots.holders(kind)
            entries = services.runs.entries()
            for run_id in whose_turn(kind, current_holders(kind, listed, entries), entries, limit):
                services.advance_queue.enqueue(run_id, delay=timedelta(), ahead=True)
        except FinetuneError as fault:
            _log.warning("a free slot is left to the timer", extra={"kind": kind.value, "code": fault.code})


def room_for_another_vm(settings: Settings, services: Services) -> bool:
    """Whether MAX_LIVE_ENDPOINTS has room for a VM that no run holds a slot for, as of this moment."""
    limit = settings.max_live_endpoints
    if limit == 0:
        return True
    listed, _ = services.slots.holders(SlotKind.ENDPOINT)
    entries = services.runs.entries()
    holders = current_holders(SlotKind.ENDPOINT, listed, entries)
    return sum(entry.instances for entry in entries if entry.run_id in holders) < limit


def _limit(kind: SlotKind, settings: Settings) -> int:
    return settings.max_training_runs if kind is SlotKind.TRAINING else settings.max_live_endpoints


def release_slot(run: Run, kind: SlotKind, services: Services) -> bool:
    """Give a slot back that the run does not use; False if other runs kept changing the list meanwhile."""
    for _ in range(ATTEMPTS):
        listed, etag = services.slots.holders(kind)
        if run.run_id not in listed or services.slots.replace(kind, listed - {run.run_id}, etag):
            return True
    return False


def _released(
    kind: SlotKind, holders: frozenset[str], entries: Iterable[IndexEntry], limits: Limits, services: Services
) -> frozenset[str]:
    """Holders whose job or endpoint Azure ML no longer has, though their record cannot say so.

    Azure ML is asked only about runs whose job or endpoint `reconcile_resources` removes, so about few.
    """
    now = services.now()
    removable = may_cancel_job if kind is SlotKind.TRAINING else outlives_its_run
    candidates = [
        entry
        for entry in entries
        if entry.run_id in holders and not may_still_use(kind, entry) and removable(entry, now, limits)
    ]
    return frozenset(entry.run_id for entry in candidates if _is_gone(kind, entry, services))


def _is_gone(kind: SlotKind, entry: IndexEntry, services: Services) -> bool:
    try:
        if kind is SlotKind.ENDPOINT:
            return services.endpoints.endpoint(entry.endpoint_name, entry.run_id) is None
        job = services.training.job(entry.job_name, entry.run_id)
    except FinetuneError:
        # A resource that cannot be read may exist.
        return False
    return job is None or job.state.over
