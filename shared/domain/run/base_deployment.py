"""Decide about the base model's deployment, which is there while a run is evaluated.

It is a luxury: whatever goes wrong with it, the run goes on without it. It is never left behind: no run gets
traffic before its absence was seen, and an endpoint that is deleted takes it along.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.limits import Limits
from shared.domain.run.decision import Decision, Do, Step, Wait
from shared.domain.run.observation import DeploymentStatus, Provisioning
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage

DEADLINE = timedelta(minutes=45)
"""Longest that the base model may take to come up; a large one loads for half an hour."""

DEADLINE_SHARE = 0.6
"""Of DEPLOYMENT_DEADLINE_MINUTES: the rest is for the evaluation, and to delete it again."""


def of_base(run: Run, seen: DeploymentStatus | None, now: datetime, limits: Limits) -> Decision | None:
    """What comes next, or None if it keeps the run from nothing.

    Args:
        run: Its deployment is up and smoke-tested.
        seen: The base model's deployment.
        now: UTC.
        limits: The app's bounds.
    """
    if run.base is None:
        return Do(Step.PLAN_BASE) if run.options.evaluate_base and run.to_be_evaluated else None
    if run.base.gone:
        return None
    if run.base.over:
        return _take_away(seen, now, limits)
    if not run.to_be_evaluated or _is_late(run, now, limits):
        return Do(Step.END_BASE)
    if seen is None:
        return Do(Step.DEPLOY_BASE)
    match seen.state:
        case Provisioning.READY:
            return None
        case Provisioning.FAILED | Provisioning.DELETING:
            return Do(Step.END_BASE)
        case _:
            return Wait(now + limits.operation_poll)


def _take_away(seen: DeploymentStatus | None, now: datetime, limits: Limits) -> Decision:
    if seen is None:
        return Do(Step.NOTE_BASE_GONE)
    if seen.state in {Provisioning.DELETING, Provisioning.PENDING}:
        # While it is being created or changed, Azure ML refuses to delete it.
        return Wait(now + limits.operation_poll)
    return Do(Step.DELETE_BASE)


def _is_late(run: Run, now: datetime, limits: Limits) -> bool:
    """Whether it has been coming up for too long; once it is up, the evaluation has its own time."""
    deploying = run.entered(Stage.DEPLOYING)
    late = deploying is not None and now > deploying + limits.deployment_deadline * DEADLINE_SHARE
    evaluating = run.evaluation is not None
    return not evaluating and run.base is not None and (late or now > run.base.at + DEADLINE)
