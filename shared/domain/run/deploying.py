"""Decide what a run in `deploying` does next: endpoint, deployment, smoke test, evaluation, traffic.

What Azure ML refuses or what fails is tried again with growing pauses, and the next way of serving is tried
at once, until the one deadline of the stage.
"""

from __future__ import annotations

from datetime import datetime

from shared.domain.limits import Limits
from shared.domain.run.attempts import (
    NextAction,
    attempt_ends,
    next_action,
    start_over_at,
    why_not_deployed,
)
from shared.domain.run.base_deployment import of_base
from shared.domain.run.decision import Decision, Do, Enter, Step, Wait
from shared.domain.run.endings import overdue_deployment
from shared.domain.run.observation import EndpointStatus, Observation, Provisioning
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.deployment import ALL_TRAFFIC


def deploying(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    """Say what happens next to a run in `deploying`."""
    decision = _bring_up(run, seen, now, limits)
    if isinstance(decision, Enter) or decision == Do(Step.EVALUATE):
        # An evaluation ends by itself in time, and no run fails for it.
        return decision
    if (overdue := overdue_deployment(run, limits, now)) is not None:
        return overdue
    ends = attempt_ends(run, limits.deployment_deadline)
    if decision == Do(Step.SMOKE_TEST) and run.failures and ends is not None and ends < now:
        # It is up and does not answer: the next way of serving gets its share of the time.
        return Do(Step.FAIL_DEPLOYMENT)
    return decision


def _bring_up(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    endpoint = seen.endpoint
    if endpoint is None:
        if run.rebuild_at is not None and run.rebuild_at > now:
            return Wait(run.rebuild_at, _reason(run))
        return Do(Step.CREATE_ENDPOINT)
    if endpoint.foreign:
        # It is left as it is: the run's endpoint gets the next name.
        return Do(Step.RENAME_ENDPOINT)
    if endpoint.state is Provisioning.FAILED:
        return Do(Step.REBUILD_ENDPOINT)
    if endpoint.state is not Provisioning.READY:
        return Wait(now + limits.operation_poll)
    return _of_deployment(run, endpoint, now, limits)


def _of_deployment(run: Run, endpoint: EndpointStatus, now: datetime, limits: Limits) -> Decision:
    action = next_action(run, endpoint.deployment)
    if action in {NextAction.EVALUATE, NextAction.SERVE}:
        base = of_base(run, endpoint.base, now, limits)
        if base is not None:
            return base
    match action:
        case NextAction.START_OVER:
            again = start_over_at(run)
            return Wait(again, _reason(run)) if again is not None and again > now else Do(Step.START_OVER)
        case NextAction.CREATE if run.rebuild_at is not None and run.rebuild_at > now:
            return Wait(run.rebuild_at, _reason(run))
        case NextAction.SERVE:
            if endpoint.traffic != ALL_TRAFFIC:
                return Do(Step.ROUTE_TRAFFIC)
            # The name is switched first, and means the run from the moment that it is live.
            return Enter(Stage.LIVE) if run.promotion is not None else Do(Step.PROMOTE)
        case NextAction.WAIT:
            return Wait(now + limits.operation_poll)
        case action:
            return Do(_STEPS[action])


_STEPS = {
    NextAction.CHOOSE: Step.CHOOSE_SERVING,
    NextAction.CREATE: Step.CREATE_DEPLOYMENT,
    NextAction.TEST: Step.SMOKE_TEST,
    NextAction.EVALUATE: Step.EVALUATE,
    NextAction.FAIL: Step.FAIL_DEPLOYMENT,
    NextAction.DELETE: Step.DELETE_DEPLOYMENT,
    NextAction.TRY_NEXT: Step.TRY_NEXT_SERVING,
}


def _reason(run: Run) -> str | None:
    reason = why_not_deployed(run)
    return f"{reason[0]}: {reason[1]}" if reason is not None else None
