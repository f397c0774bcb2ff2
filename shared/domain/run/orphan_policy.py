"""Which endpoints and jobs `reconcile_resources` removes, decided by the index alone.

A run that is well acts at its own deadlines. One that is suspended cannot; nor can one whose record or lease
nobody can write, of which the index still has what was written last. That one is told from a run that is well
by its being long past its deadline.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.limits import Limits
from shared.domain.run.index import IndexEntry
from shared.domain.run.stages import Stage

LATE = timedelta(days=1)
"""How long after a run's end a job is looked for that was asked for and never seen."""

_BEFORE_THE_JOBS_END = frozenset({Stage.VALIDATED, Stage.TRAINING, None})


def may_delete_endpoint(entry: IndexEntry | None, now: datetime, limits: Limits) -> bool:
    """Whether an endpoint of ours is to go: its run is over or unknown, or past its time and cannot end it.

    Args:
        entry: The run that the endpoint's tag names; None if there is none.
        now: UTC.
        limits: The app's bounds.
    """
    if entry is None or (entry.stage is not None and entry.stage.terminal):
        return True
    patience = limits.deployment_deadline
    if entry.stage is Stage.DELETING:
        return _past(entry.entered, patience, now)
    if entry.suspended is not None:
        return entry.expires <= now if entry.expires is not None else _past(entry.entered, patience, now)
    if entry.stage is Stage.DEPLOYING:
        return _past(entry.entered, 2 * patience, now)
    return entry.expires is not None and _past(entry.expires, patience, now)


def may_cancel_job(entry: IndexEntry, now: datetime, limits: Limits) -> bool:
    """Whether a job of that run, if one is at work, is to be canceled.

    A request to submit may arrive after everybody has stopped waiting for it: of a run that is over, the
    job is looked for that nobody ever saw.
    """
    if entry.stage is not None and entry.stage.terminal:
        return entry.job_unseen and not _past(entry.entered, LATE, now)
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
