"""Decide what a teardown does next: job and endpoint are taken away until both are verified gone."""

from __future__ import annotations

from datetime import datetime

from shared.domain.limits import Limits
from shared.domain.run.decision import Decision, Do, Enter, Step, Wait
from shared.domain.run.endings import lasted
from shared.domain.run.job_status import JobState
from shared.domain.run.observation import Observation, Provisioning
from shared.domain.run.parts import Failure
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage


def deleting(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    """Say what happens next to a run in `deleting`."""
    if steps := pending_teardown_steps(seen):
        # After a fault the other one's turn comes: a refusal to remove one must not keep the other.
        return Do(steps[run.failures % len(steps)])
    if _may_remain(run, seen, now, limits):
        going = seen.endpoint is not None or (seen.job is not None and not seen.job.state.over)
        return Wait(now + (limits.operation_poll if going else limits.job_poll))
    outcome = run.outcome or Stage.DELETED
    if outcome is Stage.STOPPED and run.requests.delete_at is not None:
        outcome = Stage.DELETED
    elif outcome is Stage.STOPPED and run.requests.cancel_at is not None:
        outcome = Stage.CANCELED
    return Enter(outcome, _left_behind(run, seen, now))


def _left_behind(run: Run, seen: Observation, now: datetime) -> Failure | None:
    """Somebody removed the run's tags from its endpoint: the app leaves it, and it costs money."""
    if run.endpoint is None or seen.endpoint is None:
        return None
    message = f"endpoint {run.endpoint_name} had lost this run's tags; it was left as it is, and costs money"
    return Failure(code="EndpointLeft", message=message, stage=run.stage, at=now)


def _may_remain(run: Run, seen: Observation, now: datetime, limits: Limits) -> bool:
    """Whether job or endpoint may still be there: seen, or not to be seen for too short a time."""
    if seen.endpoint is not None:
        endpoint = not seen.endpoint.foreign
    else:
        gone = lasted(run.endpoint_missing_since, limits.refusal_deadline, now)
        endpoint = run.entered(Stage.DEPLOYING) is not None and not gone
    if seen.job is not None:
        return endpoint or not (seen.job.foreign or seen.job.state.over)
    gone = lasted(run.job_missing_since, limits.refusal_deadline, now)
    return endpoint or (run.may_be_training and not gone)


def pending_teardown_steps(seen: Observation) -> list[Step]:
    """The steps that take away what was seen to be left of a run; what is somebody else's is left alone."""
    steps = []
    job, endpoint = seen.job, seen.endpoint
    if job is not None and not job.foreign and job.state in {JobState.ACTIVE, JobState.UNKNOWN}:
        steps.append(Step.CANCEL_JOB)
    if endpoint is not None and not endpoint.foreign and endpoint.state is not Provisioning.DELETING:
        steps.append(Step.DELETE_ENDPOINT)
    return steps
