"""Take one of the places that there are so many of, when it is a run's turn."""

from __future__ import annotations

from collections.abc import Iterable

from shared.config import Settings
from shared.domain.decide import Limits
from shared.domain.errors import FinetuneError
from shared.domain.index import IndexEntry
from shared.domain.orphans import may_cancel_job, may_delete_endpoint
from shared.domain.places import Place, may_take, taken, yet_to_use
from shared.domain.run import Run
from shared.ports import Services


def take_place(run: Run, place: Place, settings: Settings, services: Services) -> bool:
    """Whether the run has a place, from now on until it needs it no more.

    The list of those that have one is written over the version that was read or not at all, so that there
    are never more than the settings say: who loses to another decides again. A run that dies when it has
    taken a place has it still when it is advanced next, and nobody waits for a lock.

    Args:
        run: Who asks.
        place: What for.
        settings: The app's settings.
        services: The ports.
    """
    limit = settings.max_training_runs if place is Place.TRAINING else settings.max_live_endpoints
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
            holders -= _given_back(place, holders, entries, settings.limits(), services)
            if not may_take(run, place, holders, entries, limit):
                return False
        if services.claims.replace_places(place, holders | {run.run_id}, etag):
            return True


def _given_back(
    place: Place, holders: frozenset[str], entries: Iterable[IndexEntry], limits: Limits, services: Services
) -> frozenset[str]:
    """Those whose place is free again though their record cannot say so: Azure ML is asked.

    Only of runs whose job or endpoint the sweeper takes away, so that few are asked about.
    """
    now = services.now()
    to_go = may_cancel_job if place is Place.TRAINING else may_delete_endpoint
    swept = [
        entry.run_id
        for entry in entries
        if entry.run_id in holders and not yet_to_use(place, entry) and to_go(entry, now, limits)
    ]
    return frozenset(run_id for run_id in swept if _is_gone(place, run_id, services))


def _is_gone(place: Place, run_id: str, services: Services) -> bool:
    try:
        if place is Place.ENDPOINT:
            return services.endpoints.endpoint(run_id) is None
        job = services.training.job(run_id)
    except FinetuneError:
        # Whatever cannot be seen may be there.
        return False
    return job is None or job.state.over
