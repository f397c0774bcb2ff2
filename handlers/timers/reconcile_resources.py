"""Remove what runs that have ended left behind, and find runs whose records are wrong about them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.config import Settings
from shared.domain.errors import CorruptRunError, NewerRecordError, UnknownRunError
from shared.domain.run.index import IndexEntry
from shared.domain.run.job_status import JobState
from shared.domain.run.names import is_run_id, run_id_of
from shared.domain.run.observation import JobStatus
from shared.domain.run.orphan_policy import is_in, may_cancel_job, may_delete_endpoint
from shared.domain.run.parts import StartRequest
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.audit import audit
from shared.workflow.save_progress import update_run

_log = get_logger(__name__)


def reconcile_resources(*, settings: Settings, services: Services) -> list[str]:
    """Log the runs that need a person, stop orphans, and find runs that their records are wrong about.

    An orphan is a job or an endpoint of this app whose run is over or unknown, or past its deadline with
    nobody to advance it. A failed run whose job was only not to be seen goes on with it. Runs of another
    workspace than the one that the settings name are left alone.

    Returns:
        The runs to advance.
    """
    entries = services.runs.entries()
    _report_attention(entries, services)
    workspace = services.workspace.id()
    recovered, found = _look_after_jobs(entries, workspace, settings, services)
    # Endpoints first: a run's record is always older than its endpoint, so that none listed here can
    # lack its record in the listing below.
    endpoints = dict(services.endpoints.list_owned())
    entries = services.runs.entries()
    found |= _delete_orphans(endpoints, entries, workspace, settings, services)
    _tell_of_ended_runs(entries, found, services)
    here = [entry for entry in entries if is_in(entry, workspace) and entry.suspended is None]
    # A live run waits for its end: advancing it now compares its endpoint with its record.
    live = [entry.run_id for entry in here if entry.stage is Stage.LIVE]
    # Advancing a run writes its index entry anew, or finds that its record cannot be read either.
    unlisted = [entry.run_id for entry in entries if entry.stage is None and entry.suspended is None]
    return recovered + live + [run_id for run_id in unlisted if is_run_id(run_id)]


def _report_attention(entries: Iterable[IndexEntry], services: Services) -> None:
    for entry in entries:
        if entry.is_stuck(services.now()):
            # An alert watches for this line; it ends when the line no longer comes. It must come while
            # Azure ML is down, too: nothing is asked of it before.
            extra = {
                "run_id": entry.run_id,
                "stage": entry.stage,
                # Its code alone: what follows may be a service's words, and quote a row.
                "reason": (entry.attention or entry.suspended or "").partition(":")[0],
            }
            _log.error("a run needs attention", extra=extra)


def _look_after_jobs(
    entries: Iterable[IndexEntry], workspace: str, settings: Settings, services: Services
) -> tuple[list[str], set[str]]:
    """Look for jobs that nobody watches: a failed run goes on with its own, any other is canceled.

    Returns:
        The runs that go on, and those whose job was found at work.
    """
    now, limits = services.now(), settings.limits()
    recovered, found = [], set()
    for entry in entries:
        if not (is_run_id(entry.run_id) and is_in(entry, workspace) and may_cancel_job(entry, now, limits)):
            continue
        try:
            job = services.training.job(entry.job_name, entry.run_id)
            if job is None or job.foreign:
                continue
            if entry.stage is Stage.FAILED and _recover(entry.run_id, job, services):
                recovered.append(entry.run_id)
            elif not job.state.over:
                found.add(entry.run_id)
                reason = f"no run will stop it; it is {job.status}"
                dry_run = settings.reconcile_dry_run
                audit("cancel job", entry.job_name, entry.run_id, reason, dry_run=dry_run)
                if not dry_run:
                    services.training.cancel(entry.job_name)
        except Exception:  # as for endpoints: the next reconciliation tries again
            found.add(entry.run_id)
            extra = {"run_id": entry.run_id}
            _log.warning("cancel failed for an orphaned job", exc_info=True, extra=extra)
    return recovered, found


def _recover(run_id: str, job: JobStatus, services: Services) -> bool:
    """Have a run that ended because its job was not to be seen go on with it; False if it ended otherwise."""
    if job.state in {JobState.FAILED, JobState.CANCELED, JobState.STOPPING}:
        return False

    def start(run: Run) -> Run:
        if not run.lost_its_job:
            return run
        request = StartRequest(at=services.now(), after=len(run.history))
        requests = msgspec.structs.replace(run.requests, start=request)
        return msgspec.structs.replace(run, requests=requests, due=services.now())

    recovered = update_run(services.runs, run_id, start).start_request is not None
    if recovered:
        _log.warning(
            "a failed run goes on: its job was found", extra={"run_id": run_id, "status": job.status}
        )
    return recovered


def _delete_orphans(
    endpoints: dict[str, str],
    entries: Iterable[IndexEntry],
    workspace: str,
    settings: Settings,
    services: Services,
) -> set[str]:
    """Delete endpoints that no run will delete; returns the runs whose endpoint was found."""
    runs = {entry.run_id: entry for entry in entries}
    found = set()
    for endpoint, run_id in endpoints.items():
        entry = runs.get(run_id)
        if run_id_of(endpoint) != run_id:
            extra = {"endpoint": endpoint, "run_id": run_id}
            _log.warning("a copy of an endpoint has this app's tags; it is left alone", extra=extra)
        if may_delete_endpoint(endpoint, run_id, entry, workspace, services.now(), settings.limits()):
            _delete_orphan(endpoint, run_id, entry, settings, services)
            found.add(run_id)
    return found


def _delete_orphan(
    endpoint: str, run_id: str, entry: IndexEntry | None, settings: Settings, services: Services
) -> None:
    """Delete an endpoint that has one of its run's names."""
    stage = entry.stage if entry is not None else None
    extra = {"endpoint": endpoint, "run_id": run_id}
    try:
        if entry is None and not services.run_lock.was_locked(run_id):
            _log.error("an endpoint with the tags of this app belongs to no run", extra=extra)
            return
        if entry is None and _has_record(run_id, services):
            _log.error("a listing lacks a run that has a record: its endpoint is left alone", extra=extra)
            return
        reason = f"no run will delete it; its run is {stage or 'unknown'}"
        audit("delete endpoint", endpoint, run_id, reason, dry_run=settings.reconcile_dry_run)
        if not settings.reconcile_dry_run:
            services.endpoints.delete(endpoint)
    except Exception:  # the next reconciliation tries again, and the other endpoints must not wait for it
        _log.warning("delete failed for an orphaned endpoint", exc_info=True, extra=extra)


def _has_record(run_id: str, services: Services) -> bool:
    """Ask for the record itself: that one listing lacks a run is not enough to delete its endpoint."""
    try:
        services.runs.load(run_id)
    except UnknownRunError:
        return False
    except (CorruptRunError, NewerRecordError):
        return True
    return True


def _tell_of_ended_runs(entries: Iterable[IndexEntry], found: set[str], services: Services) -> None:
    """Set or clear `attention` on ended runs whose job or endpoint was found."""
    for entry in entries:
        if (
            entry.stage is None
            or not entry.stage.terminal
            or (entry.run_id in found) == bool(entry.attention)
        ):
            continue
        attention = f"the run is {entry.stage}, but its job or endpoint was found"
        try:
            _put_attention(entry.run_id, attention if entry.run_id in found else None, services)
        except (CorruptRunError, UnknownRunError):
            _log.warning("attention of an ended run could not be updated", extra={"run_id": entry.run_id})


def _put_attention(run_id: str, attention: str | None, services: Services) -> None:
    def put(run: Run) -> Run:
        return msgspec.structs.replace(run, attention=attention) if run.stage.terminal else run

    update_run(services.runs, run_id, put)
