"""Remove endpoints and jobs whose run has ended, and find live runs whose endpoint is gone."""

from __future__ import annotations

from handlers.http.request_changes import delete_endpoint
from shared.config import Settings
from shared.domain.run.names import is_run_id
from shared.domain.run.orphan_policy import may_cancel_job, may_delete_endpoint
from shared.domain.run.stages import Stage
from shared.logs import get_logger
from shared.ports import Services

_log = get_logger(__name__)


def reconcile_resources(*, settings: Settings, services: Services) -> list[str]:
    """Log the runs that need a person, stop orphans, and find live runs that lost their endpoint.

    An orphan is a job or an endpoint of this app whose run is over or unknown, or past its deadline with
    nobody to advance it.

    Returns:
        The runs to advance.
    """
    now, limits = services.now(), settings.limits()
    entries = list(services.runs.entries())
    for entry in entries:
        if entry.needs_attention(now):
            # An alert watches for this line; it ends when the line no longer comes. It must come while
            # Azure ML is down, too: nothing is asked of it before.
            _log.error("a run needs attention", extra={"run_id": entry.run_id, "stage": entry.stage})
    for entry in entries:
        if is_run_id(entry.run_id) and may_cancel_job(entry, now, limits):
            _cancel_orphan(entry.run_id, services)
    # Endpoints first: a run's record is always older than its endpoint, so that none listed here can
    # lack its record in the listing below.
    endpoints = dict(services.endpoints.list_owned())
    entries = list(services.runs.entries())
    runs = {entry.run_id: entry for entry in entries}
    for endpoint, run_id in endpoints.items():
        if may_delete_endpoint(runs.get(run_id), now, limits):
            _delete_orphan(endpoint, run_id, services)
    live = [entry for entry in entries if entry.stage is Stage.LIVE]
    lost = [
        entry.run_id for entry in live if entry.run_id not in endpoints and _has_lost(entry.run_id, services)
    ]
    # Advancing a run writes its index entry anew, or finds that its record cannot be read either.
    unlisted = [entry.run_id for entry in entries if entry.stage is None and entry.suspended is None]
    return lost + [run_id for run_id in unlisted if is_run_id(run_id)]


def _cancel_orphan(run_id: str, services: Services) -> None:
    try:
        job = services.training.job(run_id)
        if job is None or job.state.over:
            return
        _log.warning("canceling an orphaned job", extra={"run_id": run_id, "status": job.status})
        services.training.cancel(run_id)
    except Exception:  # as for endpoints: the next reconciliation tries again
        _log.warning("an orphaned job may go on for now", exc_info=True, extra={"run_id": run_id})


def _delete_orphan(endpoint: str, run_id: str, services: Services) -> None:
    extra = {"endpoint": endpoint, "run_id": run_id}
    _log.warning("deleting an orphaned endpoint", extra=extra)
    try:
        services.endpoints.delete(endpoint)
    except Exception:  # the next reconciliation tries again, and the other endpoints must not wait for it
        _log.warning("an orphaned endpoint stays for now", exc_info=True, extra=extra)


def _has_lost(run_id: str, services: Services) -> bool:
    try:
        if services.endpoints.endpoint(run_id) is not None:
            return False
        _log.warning("the endpoint of a live run is gone", extra={"run_id": run_id})
        delete_endpoint(run_id, services, reason="the endpoint was gone")
    except Exception:  # a record that cannot be read, or an answer that nobody foresaw: the others go on
        _log.warning("a live run could not be looked at", exc_info=True, extra={"run_id": run_id})
        return False
    return True
