"""Decide what happens to a run next.

`decide` is pure: from the record, what was seen, and the time it says one of
* `Do(step)`: carry out one idempotent step, then decide again,
* `Enter(stage)`: move on,
* `Wait(until)`: nothing to do before then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.domain.dataset import Verdict
from shared.domain.limits import Limits
from shared.domain.run.attempts import NextAction, attempt_began, next_action
from shared.domain.run.drift import Reaction, drift_of
from shared.domain.run.fault_policy import Operation, Outcome, Phase, phase_of
from shared.domain.run.job_status import JobState
from shared.domain.run.observation import ComputeStatus, Observation, Provisioning
from shared.domain.run.run import Failure, Run
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage
from shared.domain.serving.attempts import concerns_every_strategy
from shared.domain.serving.deployment import ALL_TRAFFIC


class Step(StrEnum):
    """One idempotent piece of work. A step that finds its work done already changes nothing."""

    VALIDATE = "validate"
    PLAN = "plan"
    CLAIM = "claim"
    CREATE_COMPUTE = "create_compute"
    ACQUIRE_SLOT = "acquire_slot"
    SUBMIT_JOB = "submit_job"
    COLLECT_METRICS = "collect_metrics"
    REGISTER_MODEL = "register_model"
    CREATE_ENDPOINT = "create_endpoint"
    CHOOSE_SERVING = "choose_serving"
    CREATE_DEPLOYMENT = "create_deployment"
    FAIL_DEPLOYMENT = "fail_deployment"
    DELETE_DEPLOYMENT = "delete_deployment"
    RESTORE_DEPLOYMENT = "restore_deployment"
    TRY_NEXT_SERVING = "try_next_serving"
    SMOKE_TEST = "smoke_test"
    ROUTE_TRAFFIC = "route_traffic"
    CANCEL_JOB = "cancel_job"
    DELETE_ENDPOINT = "delete_endpoint"


COSTLY = frozenset({Step.SUBMIT_JOB, Step.CREATE_ENDPOINT, Step.CREATE_DEPLOYMENT, Step.RESTORE_DEPLOYMENT})
"""Steps before which the intent is put on record (`Run.billable`)."""


class Do(NamedTuple):
    """Carry out `step`."""

    step: Step


class Enter(NamedTuple):
    """Move to `stage`; `outcome` is where `deleting` leads, `reason` why, in a person's words."""

    stage: Stage
    error: Failure | None = None
    outcome: Stage | None = None
    reason: str | None = None


class Wait(NamedTuple):
    """Look again at `until`; `attention` says why a person should look meanwhile, if one should."""

    until: datetime
    attention: str | None = None


Decision = Do | Enter | Wait


def decide(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    """Say what happens to `run` next.

    Args:
        run: The record, with what was seen on it (`note`); its stage must not be terminal.
        seen: What `aspects_of(run)` asked to look at.
        now: UTC.
        limits: The app's bounds.

    Raises:
        ValueError: For a terminal run, about which there is nothing to decide.
    """
    if (asked := _requested(run)) is not None:
        return asked
    match run.stage:
        case Stage.RECEIVED:
            return _received(run, now)
        case Stage.VALIDATED:
            return _validated(run, seen, now, limits)
        case Stage.TRAINING:
            return _training(run, seen, now, limits)
        case Stage.TRAINED:
            return _trained(run, now, limits)
        case Stage.REGISTERED:
            return Enter(Stage.DEPLOYING) if run.holds_slot(SlotKind.ENDPOINT) else Do(Step.ACQUIRE_SLOT)
        case Stage.DEPLOYING:
            return _deploying(run, seen, now, limits)
        case Stage.LIVE:
            return _live(run, seen, now, limits)
        case Stage.DELETING:
            return _deleting(run, seen, now, limits)
        case _:
            raise ValueError(f"{run.run_id} is {run.stage}: there is nothing to decide")


def operation_of(step: Step) -> Operation:
    """What a step is, where it is asked what a fault of it means."""
    return _OPERATIONS.get(step, Operation.PREPARE)


_OPERATIONS = {
    Step.SUBMIT_JOB: Operation.SUBMIT,
    **dict.fromkeys(
        (
            Step.COLLECT_METRICS,
            Step.REGISTER_MODEL,
            Step.CREATE_ENDPOINT,
            Step.CREATE_DEPLOYMENT,
            Step.RESTORE_DEPLOYMENT,
            Step.ROUTE_TRAFFIC,
        ),
        Operation.FINISH,
    ),
    Step.SMOKE_TEST: Operation.TEST,
    Step.CANCEL_JOB: Operation.REMOVE,
    Step.DELETE_ENDPOINT: Operation.REMOVE,
}


def repeat_at(step: Step, now: datetime, limits: Limits) -> datetime:
    """When to carry a step out again that has just been carried out and did not bring the run further.

    A slot may be taken until another run ends; everything else only needs time to become visible.
    """
    return now + (limits.job_poll if step is Step.ACQUIRE_SLOT else limits.operation_poll)


def give_up(run: Run, code: str, message: str, now: datetime, outcome: Stage | None = None) -> Enter:
    """End a run that cannot go on: at once if nothing can be costing money, else through `deleting`.

    A run whose job completed does not fail: it stops, and keeps its model until it is started or deleted.
    """
    error = Failure(code=code, message=message, stage=run.stage, at=now)
    if not run.billable:
        return Enter(Stage.FAILED, error)
    trained = phase_of(run) is Phase.AFTER_TRAINING
    return Enter(Stage.DELETING, error, outcome or (Stage.STOPPED if trained else Stage.FAILED))


def after_fault(
    run: Run, fault: Failure, outcome: Outcome, *, retry_at: datetime, now: datetime, limits: Limits
) -> Wait | Enter:
    """Say what happens to a run whose step or observation failed.

    Args:
        run: The record with the fault on it: `faulty_since`, and `refused_since` where it has to be proven.
        fault: What went wrong.
        outcome: What the fault means (`fault_policy`).
        retry_at: When to try again, if the run goes on.
        now: UTC.
        limits: The app's bounds.
    """
    attention = f"{fault.code}: {fault.message}" if outcome is not Outcome.RETRY else None
    wait = Wait(retry_at, attention)
    if outcome is Outcome.HOLD or run.stage is Stage.DELETING:
        # Whatever the reason, something that costs money may be there.
        return wait
    proven = outcome is Outcome.PROVE and _lasted(run.refused_since, limits.refusal_deadline, now)
    if outcome is Outcome.END or proven:
        return give_up(run, fault.code, fault.message, now)
    if run.stage is Stage.TRAINING:
        # A job that cannot be seen may be doing well.
        return _overdue_training(run, limits, now) or wait
    if run.stage is Stage.LIVE:
        # An endpoint that cannot be seen may be answering, until its time is up.
        return wait if run.ends_at is not None and run.ends_at > now else _time_is_up(run, now)
    stuck = run.faulty_since is not None and now - run.faulty_since > limits.fault_deadline
    # An endpoint costs money while it comes up, whether or not it can be reached.
    late = run.stage is Stage.DEPLOYING and _overdue_deployment(run, limits, now)
    return give_up(run, fault.code, fault.message, now) if stuck or late else wait


def _lasted(since: datetime | None, deadline: timedelta, now: datetime) -> bool:
    return since is not None and now - since >= deadline


def _requested(run: Run) -> Enter | None:
    """What callers asked for; an end comes before a start."""
    start = Enter(Stage.TRAINED) if run.start_request is not None else None
    return _requested_end(run) or start


def _requested_end(run: Run) -> Enter | None:
    if run.stage is Stage.DELETING or run.stage.terminal:
        return None
    asked = run.requests
    if asked.delete_at is None and asked.cancel_at is None:
        return None
    reason = asked.delete_reason or ("canceled" if asked.delete_at is None else "requested")
    if run.stage is Stage.STOPPED:
        return Enter(Stage.CANCELED if asked.delete_at is None else Stage.DELETED, reason=reason)
    if not run.billable:
        return Enter(Stage.CANCELED, reason=reason)
    outcome = Stage.DELETED if run.stage is Stage.LIVE else Stage.CANCELED
    return Enter(Stage.DELETING, outcome=outcome, reason=reason)


def _received(run: Run, now: datetime) -> Decision:
    if run.report is None:
        return Do(Step.VALIDATE)
    if run.report.verdict is Verdict.ACCEPTED:
        return Enter(Stage.VALIDATED)
    return Enter(
        Stage.REJECTED,
        Failure(code="DatasetRejected", message=run.report.reason, stage=run.stage, at=now),
    )


def _validated(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    if run.duplicate_of is not None:
        return Enter(Stage.DUPLICATE)
    if run.plan is None:
        return Do(Step.PLAN)
    if not run.claimed:
        return Do(Step.CLAIM)
    if run.billable:
        if seen.job is not None:
            return _name_taken(run, "job", now) if seen.job.foreign else Enter(Stage.TRAINING)
        late = _late(
            run,
            "the submitted job has not appeared in Azure ML",
            run.job_submitted_at,
            limits.submission_deadline,
            now,
        )
        return late or Do(Step.SUBMIT_JOB)
    if run.plan.create_compute and (seen.compute is None or seen.compute.state is not Provisioning.READY):
        return _bring_up_compute(run, run.plan.compute, seen.compute, now, limits)
    return Do(Step.SUBMIT_JOB if run.holds_slot(SlotKind.TRAINING) else Step.ACQUIRE_SLOT)


def _bring_up_compute(
    run: Run, name: str, seen: ComputeStatus | None, now: datetime, limits: Limits
) -> Decision:
    if seen is not None and seen.state is Provisioning.FAILED:
        reason = seen.failure or "its provisioning failed"
        return give_up(run, "ComputeFailed", f"cluster {name}: {reason}", now)
    late = _late(run, f"cluster {name} is not up", run.compute_requested_at, limits.compute_deadline, now)
    return late or (Do(Step.CREATE_COMPUTE) if seen is None else Wait(now + limits.operation_poll))


def _training(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    if seen.job is None:
        message = f"job {run.run_id} is no longer in the workspace"
        if _lasted(run.job_missing_since, limits.refusal_deadline, now):
            return give_up(run, "JobNotFound", message, now)
        late = _overdue_training(run, limits, now)
        return late or Wait(now + limits.job_poll, message)
    if seen.job.foreign:
        return _name_taken(run, "job", now)
    match seen.job.state:
        case JobState.COMPLETED:
            return Enter(Stage.TRAINED)
        case JobState.FAILED:
            return give_up(run, "JobFailed", seen.job.failure or "the training job failed", now)
        case JobState.CANCELED | JobState.STOPPING:
            error = Failure(
                code="JobCanceled",
                message="the training job was canceled in Azure ML",
                stage=run.stage,
                at=now,
            )
            return Enter(Stage.DELETING, error, Stage.CANCELED)
        case _:
            late = _overdue_training(run, limits, now)
            return late or Wait(now + limits.job_poll)


def _trained(run: Run, now: datetime, limits: Limits) -> Decision:
    if run.metrics is None:
        return Do(Step.COLLECT_METRICS)
    if limits.max_eval_loss is not None:
        loss = run.metrics.eval_loss
        if loss is None:
            return give_up(
                run,
                "EvalLossMissing",
                "MAX_EVAL_LOSS is set, but training logged no eval_loss",
                now,
                Stage.FAILED,
            )
        if not loss <= limits.max_eval_loss:
            message = f"evaluation loss {loss:.4f} is over MAX_EVAL_LOSS {limits.max_eval_loss:g}"
            return give_up(run, "EvalLossTooHigh", message, now, Stage.FAILED)
    return Do(Step.REGISTER_MODEL) if run.model is None else Enter(Stage.REGISTERED)


def _deploying(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    decision = _bring_up(run, seen, now, limits)
    if isinstance(decision, Enter):
        return decision
    overdue = _overdue_deployment(run, limits, now)
    if overdue is not None and decision == Do(Step.SMOKE_TEST):
        # It is up and never answered: that is this strategy's failure, not the run's.
        return Do(Step.FAIL_DEPLOYMENT)
    return overdue or decision


def _bring_up(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    endpoint = seen.endpoint
    if endpoint is None:
        return Do(Step.CREATE_ENDPOINT)
    if endpoint.foreign:
        return _name_taken(run, "endpoint", now)
    if endpoint.state is Provisioning.FAILED:
        return give_up(run, "EndpointFailed", endpoint.failure or "the endpoint failed", now)
    if endpoint.state is not Provisioning.READY:
        return Wait(now + limits.operation_poll)
    match next_action(run, endpoint.deployment):
        case NextAction.GIVE_UP:
            assert run.serving is not None
            last = run.serving.failed[-1]
            if concerns_every_strategy(last.code, last.message):
                return give_up(run, last.code, last.message, now)
            return give_up(run, "NoServingStrategy", run.serving.explain_failures(), now)
        case NextAction.SERVE:
            return Enter(Stage.LIVE) if endpoint.traffic == ALL_TRAFFIC else Do(Step.ROUTE_TRAFFIC)
        case NextAction.WAIT:
            return Wait(now + limits.operation_poll)
        case action:
            return Do(_ATTEMPT_STEPS[action])


_ATTEMPT_STEPS = {
    NextAction.CHOOSE: Step.CHOOSE_SERVING,
    NextAction.CREATE: Step.CREATE_DEPLOYMENT,
    NextAction.TEST: Step.SMOKE_TEST,
    NextAction.FAIL: Step.FAIL_DEPLOYMENT,
    NextAction.DELETE: Step.DELETE_DEPLOYMENT,
    NextAction.TRY_NEXT: Step.TRY_NEXT_SERVING,
}


def _live(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    if run.ends_at is None or run.ends_at <= now:
        return _time_is_up(run, now)
    if seen.endpoint is None:
        if _lasted(run.endpoint_missing_since, limits.refusal_deadline, now):
            return give_up(run, "EndpointGone", f"endpoint {run.run_id} is no longer in the workspace", now)
        return Wait(now + limits.job_poll, f"endpoint {run.run_id} is not in the workspace")
    drift = drift_of(run, seen.endpoint)
    if drift is None:
        return Wait(run.ends_at)
    if drift.reaction in _REPAIRS:
        return Do(_REPAIRS[drift.reaction])
    poll = limits.operation_poll if drift.reaction is Reaction.WAIT else limits.job_poll
    return Wait(min(now + poll, run.ends_at), drift.attention)


_REPAIRS = {Reaction.DEPLOY: Step.RESTORE_DEPLOYMENT, Reaction.ROUTE: Step.ROUTE_TRAFFIC}


def _time_is_up(run: Run, now: datetime) -> Enter:
    reason = "its lifetime ended"
    if run.expires_at is not None and run.expires_at > now:
        reason = f"not used for {run.options.idle_minutes:g} minutes"
    return Enter(Stage.DELETING, outcome=Stage.STOPPED, reason=reason)


def _deleting(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
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
    """The endpoint was the run's, and somebody has taken its tags: it is theirs now, and so is its bill."""
    if run.endpoint is None or seen.endpoint is None:
        return None
    message = f"endpoint {run.run_id} had lost this run's tags; it was left as it is, and costs money"
    return Failure(code="EndpointLeft", message=message, stage=run.stage, at=now)


def _may_remain(run: Run, seen: Observation, now: datetime, limits: Limits) -> bool:
    """Whether job or endpoint may still be there: seen, or not to be seen for too short a time."""
    if seen.endpoint is not None:
        endpoint = not seen.endpoint.foreign
    else:
        lasted = _lasted(run.endpoint_missing_since, limits.refusal_deadline, now)
        endpoint = run.entered(Stage.DEPLOYING) is not None and not lasted
    if seen.job is not None:
        return endpoint or not (seen.job.foreign or seen.job.state.over)
    lasted = _lasted(run.job_missing_since, limits.refusal_deadline, now)
    return endpoint or (run.may_be_training and not lasted)


def pending_teardown_steps(seen: Observation) -> list[Step]:
    """The steps that take away what was seen to be left of a run; what is somebody else's is left alone."""
    steps = []
    job, endpoint = seen.job, seen.endpoint
    if job is not None and not job.foreign and job.state in {JobState.ACTIVE, JobState.UNKNOWN}:
        steps.append(Step.CANCEL_JOB)
    if endpoint is not None and not endpoint.foreign and endpoint.state is not Provisioning.DELETING:
        steps.append(Step.DELETE_ENDPOINT)
    return steps


def _overdue_deployment(run: Run, limits: Limits, now: datetime) -> Enter | None:
    """Each attempt to deploy has the whole deadline."""
    return _overdue_since(run, attempt_began(run), limits.deployment_deadline, now)


def _name_taken(run: Run, what: str, now: datetime) -> Enter:
    message = f"the workspace has a {what} {run.run_id} that is not this run's; it was left as it is"
    return give_up(run, f"{what.capitalize()}NameTaken", message, now)


def _overdue_training(run: Run, limits: Limits, now: datetime) -> Enter | None:
    return _overdue_since(run, run.entered(Stage.TRAINING), limits.training_deadline, now)


def _overdue_since(run: Run, since: datetime | None, deadline: timedelta, now: datetime) -> Enter | None:
    late = _late(run, f"still {run.stage}", since, deadline, now)
    if late is not None and run.failures and run.last_fault is not None:
        # What kept the run from going on says more than that it took too long.
        return give_up(run, run.last_fault.code, run.last_fault.message, now)
    return late


def _late(run: Run, what: str, since: datetime | None, deadline: timedelta, now: datetime) -> Enter | None:
    if since is None or now - since <= deadline:
        return None
    hours = deadline.total_seconds() / 3600
    return give_up(run, "DeadlineExceeded", f"{what} after {hours:g} h", now)
