"""Decide what happens to a run next.

`decide` is pure: from the record, what was seen, and the time it says one of
* `Do(step)`: carry out one idempotent step, then decide again,
* `Enter(stage)`: move on,
* `Wait(until)`: nothing to do before then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shared.domain.dataset import Verdict
from shared.domain.limits import Limits
from shared.domain.run.availability import hours_of
from shared.domain.run.budget import refused_by_caps, refused_by_month, training_passes_cap
from shared.domain.run.decision import Decision, Do, Enter, Step, Wait
from shared.domain.run.deploying import deploying
from shared.domain.run.drift import Reaction, drift_of
from shared.domain.run.endings import (
    give_up,
    lasted,
    name_taken,
    overdue_training,
    past_deadline,
    time_is_up,
)
from shared.domain.run.job_status import QUEUED, JobState, is_preempted
from shared.domain.run.observation import ComputeStatus, Observation, Provisioning
from shared.domain.run.parts import Failure, TrainingPlan
from shared.domain.run.progress import POLLS
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage
from shared.domain.run.teardown import deleting
from shared.domain.run.upload_change import UploadChange
from shared.domain.serving.attempts import is_out_of_capacity


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
    decide_stage = _STAGES.get(run.stage)
    if decide_stage is None:
        raise ValueError(f"{run.run_id} is {run.stage}: there is nothing to decide")
    return decide_stage(run, seen, now, limits)


def repeat_at(step: Step, now: datetime, limits: Limits) -> datetime:
    """When to carry a step out again that has just been carried out and did not bring the run further.

    A slot may be taken until another run ends; everything else only needs time to become visible.
    """
    return now + (limits.job_poll if step is Step.ACQUIRE_SLOT else limits.operation_poll)


def _requested(run: Run) -> Enter | None:
    """What callers asked for; an end comes before a start."""
    if run.start_request is None:
        return _requested_end(run)
    # A failed run looks at its job again: only one that completed has a model to deploy.
    start = Enter(Stage.TRAINED if run.stage is Stage.STOPPED else Stage.TRAINING)
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


def _received(run: Run, seen: Observation, now: datetime, _limits: Limits) -> Decision:
    if run.report is None:
        return _follow_upload(run, seen, now) or Do(Step.VALIDATE)
    if run.report.verdict is Verdict.ACCEPTED:
        return Enter(Stage.VALIDATED)
    return Enter(
        Stage.REJECTED,
        Failure(code="DatasetRejected", message=run.report.reason, stage=run.stage, at=now),
    )


def _follow_upload(run: Run, seen: Observation, now: datetime) -> Decision | None:
    """What a change of the upload means before training starts; None if the run goes on with what it has."""
    path, snapshot = run.source.files[0].path, run.report is not None
    if run.superseded:
        reason = f"a newer version of {path} was uploaded before training started; it has a run of its own"
        return Enter(Stage.CANCELED, reason=reason)
    if seen.upload is None:
        return None
    match seen.upload.change:
        case UploadChange.REPLACED:
            return Do(Step.SUPERSEDE)
        case UploadChange.GONE if not snapshot:
            return give_up(run, "UploadDeleted", f"{path} was deleted before it had been validated", now)
        case UploadChange.RETAGGED if snapshot:
            return None
        case UploadChange.PARTS | UploadChange.RETAGGED:
            whole_at = seen.upload.whole_at
            return Wait(whole_at) if whole_at is not None and whole_at > now else Do(Step.REOPEN)
    return None


def _validated(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    if run.report is None:
        return Enter(Stage.RECEIVED)
    if run.duplicate_of is not None:
        return Enter(Stage.DUPLICATE)
    if run.plan is None:
        return Do(Step.PLAN)
    if not run.claimed:
        return Do(Step.CLAIM)
    if run.billable:
        if seen.job is not None:
            return name_taken(run, now) if seen.job.foreign else Enter(Stage.TRAINING)
        submitted = run.job_submitted_at
        if submitted is not None and now - submitted > limits.submission_deadline:
            message = f"job {run.job_name} was submitted, and has not appeared in Azure ML"
            return give_up(run, "JobNotFound", message, now)
        gave_back = run.slot is not None and not run.slot.acquired
        return Do(Step.ACQUIRE_SLOT if gave_back else Step.SUBMIT_JOB)
    return (
        _follow_upload(run, seen, now)
        or _hold_to_caps(run, now, limits)
        or _before_submission(run, run.plan, seen, now, limits)
    )


def _hold_to_caps(run: Run, now: datetime, limits: Limits) -> Decision | None:
    """Reject what would cost too much, before anything costs; None if the run may go on."""
    refusal = refused_by_caps(run.quote, limits)
    if refusal is None and limits.max_monthly_cost is not None and run.quote is not None:
        if run.budget is None or run.budget.at < run.quote.at:
            return Do(Step.RESERVE_BUDGET)
        refusal = refused_by_month(run)
    if refusal is None:
        return None
    error = Failure(code=refusal.code, message=refusal.message, stage=run.stage, at=now)
    return Enter(Stage.REJECTED, error)


def _before_submission(
    run: Run, plan: TrainingPlan, seen: Observation, now: datetime, limits: Limits
) -> Decision:
    if plan.create_compute:
        if seen.compute is None or seen.compute.state is not Provisioning.READY:
            return _bring_up_compute(run, plan, seen.compute, now, limits)
        if seen.compute.size.lower() not in {"", plan.compute_size.lower()}:
            # Somebody else was first to create it, or created it anew with another size.
            return Do(Step.PLAN)
    return Do(Step.SUBMIT_JOB if run.holds_slot(SlotKind.TRAINING) else Step.ACQUIRE_SLOT)


def _bring_up_compute(
    run: Run, plan: TrainingPlan, seen: ComputeStatus | None, now: datetime, limits: Limits
) -> Decision:
    overdue = past_deadline(
        run, f"cluster {plan.compute} is not up", run.compute_requested_at, limits.compute_deadline, now
    )
    if seen is not None and seen.state is Provisioning.FAILED:
        reason = seen.failure or "its provisioning failed"
        if not is_out_of_capacity("", reason) or not run.options.compute_sizes_besides(plan.compute_size):
            return give_up(run, "ComputeFailed", f"cluster {plan.compute}: {reason}", now)
        if run.compute_created:
            return Do(Step.REPLACE_COMPUTE)
        # Whoever asked for it may ask for another size; it is not this run's to delete.
        return overdue or Wait(now + limits.operation_poll)
    return overdue or (Do(Step.CREATE_COMPUTE) if seen is None else Wait(now + limits.operation_poll))


def _training(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    if seen.job is None:
        if run.job_number > 1 and run.job_submitted_at is None:
            return Do(Step.SUBMIT_JOB)
        message = f"job {run.job_name} is no longer in the workspace"
        if lasted(run.job_missing_since, limits.refusal_deadline, now):
            return give_up(run, "JobNotFound", message, now)
        overdue = overdue_training(run, limits, now)
        return overdue or Wait(now + limits.job_poll, message)
    if seen.job.foreign:
        return name_taken(run, now)
    match seen.job.state:
        case JobState.COMPLETED:
            return Enter(Stage.TRAINED)
        case JobState.FAILED if is_preempted(seen.job.failure) and run.job_number <= limits.resubmissions:
            return Do(Step.REPLACE_JOB)
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
            return _while_training(run, now, limits)


def _while_training(run: Run, now: datetime, limits: Limits) -> Decision:
    """A job is at work, or waits for nodes."""
    over_cap = training_passes_cap(run, now, limits)
    if over_cap is not None:
        return give_up(run, *over_cap, now)
    overdue = overdue_training(run, limits, now)
    if overdue is not None:
        return overdue
    read_at = run.progress.read_at if run.progress is not None else run.entered(Stage.TRAINING) or now
    waits = run.job is not None and run.job.status in QUEUED
    if not waits and now - read_at >= POLLS * limits.job_poll:
        return Do(Step.READ_PROGRESS)
    diverged = run.progress.diverged if run.progress is not None else None
    if diverged is None:
        return Wait(now + limits.job_poll)
    if limits.stop_when_diverged:
        message = f"{diverged}: the job was canceled, since training would not get better; no model is kept"
        return give_up(run, "TrainingDiverged", message, now)
    return Wait(
        now + limits.job_poll, f"training goes on, but {diverged}; STOP_WHEN_DIVERGED=true would stop it"
    )


def _trained(run: Run, _seen: Observation, now: datetime, limits: Limits) -> Decision:
    """The model is registered first: whatever else cannot be had of the job, its model is kept."""
    if run.model is None:
        return Do(Step.REGISTER_MODEL)
    if run.metrics is None:
        return Do(Step.COLLECT_METRICS)
    if limits.max_eval_loss is None or run.loss_accepted:
        return Enter(Stage.REGISTERED)
    loss = run.metrics.eval_loss
    if loss is None:
        message = "MAX_EVAL_LOSS is set, but training logged no eval_loss; starting the run accepts that"
        return give_up(run, "EvalLossMissing", message, now)
    if not loss <= limits.max_eval_loss:
        message = (
            f"evaluation loss {loss:.4f} is over MAX_EVAL_LOSS {limits.max_eval_loss:g}; "
            "starting the run accepts it"
        )
        return give_up(run, "EvalLossTooHigh", message, now)
    return Enter(Stage.REGISTERED)


def _registered(run: Run, _seen: Observation, now: datetime, limits: Limits) -> Decision:
    hours = hours_of(run.options.available)
    if hours is not None and not hours.is_open(now) and not run.was_asked_for:
        return Wait(hours.opening_after(now))
    if limits.max_monthly_cost is not None and run.quote is not None:
        # A run that starts again costs again. Its model is kept until there is room.
        if run.budget is None or (not run.budget.reserved and now - run.budget.at >= limits.job_poll):
            return Do(Step.RESERVE_BUDGET)
        refusal = refused_by_month(run)
        if refusal is not None:
            return Wait(run.budget.at + limits.job_poll, refusal.message)
    return Enter(Stage.DEPLOYING) if run.holds_slot(SlotKind.ENDPOINT) else Do(Step.ACQUIRE_SLOT)


def _stopped(run: Run, _seen: Observation, now: datetime, _limits: Limits) -> Decision:
    """A run that stopped within its hours, because nobody used it, begins again with the next ones."""
    hours = hours_of(run.options.available)
    if hours is None:
        raise ValueError(f"{run.run_id} is stopped: there is nothing to decide")
    stopped = run.entered(Stage.STOPPED) or now
    if hours.is_open(now) and hours.opening_after(stopped) <= now:
        return Enter(Stage.TRAINED)
    return Wait(hours.opening_after(now))


def _live(run: Run, seen: Observation, now: datetime, limits: Limits) -> Decision:
    share_ends = run.promotion.next_at if run.promotion is not None else None
    if run.approval_given or (share_ends is not None and share_ends <= now):
        return Do(Step.PROMOTE)
    if run.endpoint is None or run.ends_at is None:
        return time_is_up(run, now)
    ends_at = min(run.ends_at, run.endpoint.live_since + limits.longest_lifetime)
    if ends_at <= now:
        return time_is_up(run, now)
    if seen.endpoint is None:
        if lasted(run.endpoint_missing_since, limits.refusal_deadline, now):
            message = f"endpoint {run.endpoint_name} is no longer in the workspace"
            return give_up(run, "EndpointGone", message, now)
        return Wait(now + limits.job_poll, f"endpoint {run.endpoint_name} is not in the workspace")
    drift = drift_of(run, seen.endpoint)
    if drift is None:
        return Wait(min(ends_at, share_ends or ends_at), _over_lifetime(run, ends_at))
    if drift.reaction in _REPAIRS:
        return Do(_REPAIRS[drift.reaction])
    poll = limits.operation_poll if drift.reaction is Reaction.WAIT else limits.job_poll
    return Wait(min(now + poll, ends_at), drift.attention)


def _over_lifetime(run: Run, ends_at: datetime) -> str | None:
    """The record has a time that the app refuses: somebody wrote it, or the setting was lowered."""
    if run.ends_at is None or run.ends_at <= ends_at:
        return None
    recorded, ends = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (run.ends_at, ends_at))
    return (
        f"the record says that the endpoint lives until {recorded}; ENDPOINT_MAX_LIFETIME_HOURS says {ends}"
    )


_REPAIRS = {Reaction.DEPLOY: Step.RESTORE_DEPLOYMENT, Reaction.ROUTE: Step.ROUTE_TRAFFIC}


_STAGES: dict[Stage, Callable[[Run, Observation, datetime, Limits], Decision]] = {
    Stage.RECEIVED: _received,
    Stage.VALIDATED: _validated,
    Stage.TRAINING: _training,
    Stage.TRAINED: _trained,
    Stage.REGISTERED: _registered,
    Stage.DEPLOYING: deploying,
    Stage.LIVE: _live,
    Stage.DELETING: deleting,
    Stage.STOPPED: _stopped,
}
