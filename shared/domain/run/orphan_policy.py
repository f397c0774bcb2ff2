"""Which endpoints and jobs `reconcile_resources` removes, decided by the index alone.

A run that is well acts at its own deadlines. One that is suspended cannot; nor can one whose record or lease
nobody can write, of which the index still has what was written last. That one is told from a run that is well
by its being long past its deadline.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.limits import Limits
from shared.domain.run.index import IndexEntry
from shared.domain.run.names import number_of, run_id_of
from shared.domain.run.stages import Stage

LATE = timedelta(days=1)
"""How long after a run's end its unfinished job is looked for."""

_BEFORE_THE_JOBS_END = frozenset({Stage.VALIDATED, Stage.TRAINING, None})


def is_in(entry: IndexEntry, workspace: str) -> bool:
    """Whether what a run has is in that workspace, and this version's to touch.

    A run that was not planned yet has nothing anywhere.
    """
    return entry.workspace in {None, workspace} and not entry.newer


def may_delete_endpoint(
    endpoint: str, run_id: str, entry: IndexEntry | None, workspace: str, now: datetime, limits: Limits
) -> bool:
    """Whether an endpoint that carries this installation's tags is to be deleted.

    Its name must be one that the run has had: whoever copies an endpoint copies its tags, too. Its run must
    be in this workspace, and must have asked for something that costs money. Of a run without a record, the
    caller makes sure that it was this app's.

    Args:
        endpoint: The endpoint's name.
        run_id: The run that its tag names.
        entry: That run, or None if there is none.
        workspace: Immutable id of the workspace that the endpoint is in.
        now: UTC.
        limits: The app's bounds.
    """
    if run_id_of(endpoint) != run_id:
        return False
    if entry is not None and not (is_in(entry, workspace) and may_have_endpoint(entry)):
        return False
    if entry is not None and entry.stage is not None and endpoint != entry.endpoint_name:
        # Either the run has left that name for its next, or it never had it: then it is somebody's copy.
        return number_of(endpoint) < entry.endpoint_number
    return outlives_its_run(entry, now, limits)


def may_have_endpoint(entry: IndexEntry) -> bool:
    """Whether a run may have created an endpoint; of one whose index entry is lost, nobody knows."""
    return entry.billable or entry.stage is None


def outlives_its_run(entry: IndexEntry | None, now: datetime, limits: Limits) -> bool:
    """Whether a run's endpoint should be gone: the run is over or unknown, or cannot end it in time."""
    if entry is None or (entry.stage is not None and entry.stage.at_rest):
        return True
    patience = limits.deployment_deadline
    if entry.stage is Stage.DELETING:
        return _past(entry.entered, patience, now)
    if entry.suspended is not None:
        if entry.stage is Stage.LIVE and _past(entry.entered, limits.longest_lifetime, now):
            return True
        return entry.expires <= now if entry.expires is not None else _past(entry.entered, patience, now)
    if entry.stage is Stage.DEPLOYING:
        return _past(entry.entered, 2 * patience, now)
    if entry.stage is Stage.LIVE and _past(entry.entered, limits.longest_lifetime + patience, now):
        return True
    return entry.expires is not None and _past(entry.expires, patience, now)


def may_cancel_job(entry: IndexEntry, now: datetime, limits: Limits) -> bool:
    """Whether a job of that run, if one is at work, is to be canceled.

    A request to submit may arrive after everybody has stopped waiting for it, and a job may be hidden for a
    while: of a run that is over, the job is looked for that nobody saw to be over.
    """
    if entry.stage is not None and entry.stage.terminal:
        return entry.job_open and not _past(entry.entered, LATE, now)
    if entry.stage is Stage.DELETING:
        return _past(entry.entered, limits.deployment_deadline, now)
    if entry.stage not in _BEFORE_THE_JOBS_END:
        return False
    # Before its submission a run may wait for its turn as long as it takes, but it is looked at all the time.
    since = entry.due if entry.stage is Stage.VALIDATED else entry.entered
    if entry.suspended is not None:
        return _past(since, limits.training_deadline, now)
    known = entry.stage is not None and since is not None
    return known and _past(since, limits.training_deadline + limits.deployment_deadline, now)


def _past(since: datetime | None, longest: timedelta, now: datetime) -> bool:
    return since is None or now - since >= longest
