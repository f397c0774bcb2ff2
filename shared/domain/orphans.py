"""What nobody else will take away: which endpoints and jobs the sweeper acts on, told by the index alone."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.decide import Limits
from shared.domain.index import IndexEntry
from shared.domain.stages import Stage

LATE = timedelta(days=1)
"""How long after a run's end a job is looked for that was asked for and never seen."""

_BEFORE_THE_JOBS_END = frozenset({Stage.VALIDATED, Stage.TRAINING, None})


def may_delete_endpoint(entry: IndexEntry | None, now: datetime, limits: Limits) -> bool:
    """Whether an endpoint of ours is to go: its run is over, unknown, or parked or in teardown for too long.

    Args:
        entry: The run that the endpoint's tag names; None if there is none.
        now: UTC.
        limits: The app's bounds.
    """
    if entry is None or (entry.stage is not None and entry.stage.terminal):
        return True
    if entry.stage is Stage.DELETING:
        return _past(entry.entered, limits.deployment_deadline, now)
    if entry.parked is None:
        return False
    if entry.expires is not None:
        return entry.expires <= now
    return _past(entry.entered, limits.deployment_deadline, now)


def may_cancel_job(entry: IndexEntry, now: datetime, limits: Limits) -> bool:
    """Whether a job of that run, if one is at work, is to be canceled.

    A request to submit may arrive after everybody has stopped waiting for it: of a run that is over, the
    job is looked for that nobody ever saw.
    """
    if entry.stage is not None and entry.stage.terminal:
        return entry.job_unseen and not _past(entry.entered, LATE, now)
    if entry.stage is Stage.DELETING:
        return _past(entry.entered, limits.deployment_deadline, now)
    parked = entry.parked is not None and entry.stage in _BEFORE_THE_JOBS_END
    return parked and _past(entry.entered, limits.training_deadline, now)


def _past(since: datetime | None, longest: timedelta, now: datetime) -> bool:
    return since is None or since + longest <= now
