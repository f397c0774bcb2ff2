"""Sweep: no endpoint may outlive its run, and no run may believe in an endpoint that is gone."""

from __future__ import annotations

import logging
from datetime import datetime

from handlers.request_changes import delete_endpoint
from shared.domain.errors import FinetuneError
from shared.domain.index import IndexEntry
from shared.domain.stages import Stage
from shared.ports import Services

_log = logging.getLogger(__name__)


def sweep_endpoints(services: Services) -> list[str]:
    """Delete orphans, and find live runs that have run out of time or lost their endpoint.

    An orphan is an endpoint that carries this app's tag and whose run is over or unknown, or is parked
    with its time up: nobody advances it, and it goes on costing money.

    Returns:
        The runs to advance.
    """
    # Endpoints first: a run's record is always older than its endpoint, so that none listed here can
    # lack its record in the listing below.
    endpoints = dict(services.endpoints.tagged_as_ours())
    entries = {entry.run_id: entry for entry in services.runs.entries()}
    now = services.now()
    for endpoint, run_id in endpoints.items():
        if _is_orphan(entries.get(run_id), now):
            _delete_orphan(endpoint, run_id, services)
    for entry in entries.values():
        if entry.needs_attention(now):
            # An alert watches for this line; it ends when the line no longer comes.
            _log.error("a run needs attention", extra={"run_id": entry.run_id, "stage": entry.stage})
    live = [entry for entry in entries.values() if entry.stage is Stage.LIVE]
    lost = [
        entry.run_id for entry in live if entry.run_id not in endpoints and _has_lost(entry.run_id, services)
    ]
    return lost + [entry.run_id for entry in live if entry.run_id not in lost and entry.is_due(now)]


def _is_orphan(entry: IndexEntry | None, now: datetime) -> bool:
    if entry is None:
        return True
    overdue = entry.parked is not None and entry.expires is not None and entry.expires <= now
    return overdue or (entry.stage is not None and entry.stage.terminal)


def _delete_orphan(endpoint: str, run_id: str, services: Services) -> None:
    extra = {"endpoint": endpoint, "run_id": run_id}
    _log.warning("deleting an orphaned endpoint", extra=extra)
    try:
        services.endpoints.delete(endpoint)
    except FinetuneError as fault:
        # The next sweep tries again; the other endpoints must not wait for it.
        _log.warning("an orphaned endpoint stays for now", extra={**extra, "code": fault.code})


def _has_lost(run_id: str, services: Services) -> bool:
    try:
        if services.endpoints.endpoint(run_id) is not None:
            return False
        _log.warning("the endpoint of a live run is gone", extra={"run_id": run_id})
        delete_endpoint(run_id, services, reason="the endpoint was gone")
    except FinetuneError as fault:
        _log.warning("a live run could not be looked at", extra={"run_id": run_id, "code": fault.code})
        return False
    return True
