"""Azure ML's job statuses, and what each means for a run."""

from __future__ import annotations

import re
from enum import StrEnum


class JobState(StrEnum):
    """What a job's status means here."""

    ACTIVE = "active"
    # It may still complete, and may be using GPUs.
    STOPPING = "stopping"
    # A cancellation was accepted and is not finished.
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"
    # A word that this table does not know: treated as active, and logged.

    @property
    def over(self) -> bool:
        """Whether the job uses no compute any more and never will again."""
        return self in {JobState.COMPLETED, JobState.FAILED, JobState.CANCELED}


_STATES = {
    "NotStarted": JobState.ACTIVE,
    "Starting": JobState.ACTIVE,
    "Provisioning": JobState.ACTIVE,
    "Preparing": JobState.ACTIVE,
    "Queued": JobState.ACTIVE,
    "Running": JobState.ACTIVE,
    "Finalizing": JobState.ACTIVE,
    "Paused": JobState.ACTIVE,
    "CancelRequested": JobState.STOPPING,
    "Completed": JobState.COMPLETED,
    "Failed": JobState.FAILED,
    "NotResponding": JobState.ACTIVE,
    "Canceled": JobState.CANCELED,
    "Unknown": JobState.UNKNOWN,
}
"""Every status of the REST API's JobStatus enum (azure-ai-ml 1.35.2, `_restclient`).

The SDK's own `stream` stops at NotResponding and Paused; both can go back to Running, and both can
hold compute, so a run keeps watching until its training deadline.
"""


QUEUED = frozenset({"NotStarted", "Queued", "Provisioning", "Preparing", "Starting"})
"""Statuses of a job that uses no nodes yet."""


def job_state(status: str) -> JobState:
    """Translate Azure ML's status of a job; a word that is not in the table is UNKNOWN."""
    return _STATES.get(status, JobState.UNKNOWN)


_PREEMPTED = re.compile(r"preempt|low[- ]priority node|spot (vm|node)|evicted", re.IGNORECASE)


def is_preempted(failure: str | None) -> bool:
    """Whether a job failed because its nodes were taken away, by what the failure says.

    Azure ML requeues a preempted job by itself where it can; one that failed over it is lost.
    """
    return failure is not None and _PREEMPTED.search(failure) is not None
