"""How a run that cannot go on ends: for a fault, an overdue deadline, or because its time is up."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.limits import Limits
from shared.domain.run.attempts import why_not_deployed
from shared.domain.run.decision import Enter, Wait
from shared.domain.run.fault_policy import Outcome, Phase, phase_of
from shared.domain.run.parts import Failure
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage


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
    proven = outcome is Outcome.PROVE and lasted(run.refused_since, limits.refusal_deadline, now)
    if outcome is Outcome.END or proven:
        return give_up(run, fault.code, fault.message, now)
    if run.stage is Stage.TRAINING:
        # A job that cannot be seen may be doing well.
        return overdue_training(run, limits, now) or wait
    if run.stage is Stage.LIVE:
        # An endpoint that cannot be seen may be answering, until its time is up.
        return wait if run.ends_at is not None and run.ends_at > now else time_is_up(run, now)
    stuck = run.faulty_since is not None and now - run.faulty_since > limits.fault_deadline
    # An endpoint costs money while it comes up, whether or not it can be reached.
    late = run.stage is Stage.DEPLOYING and overdue_deployment(run, limits, now)
    return give_up(run, fault.code, fault.message, now) if stuck or late else wait


def lasted(since: datetime | None, deadline: timedelta, now: datetime) -> bool:
    """Whether something has gone on for as long as `deadline`."""
    return since is not None and now - since >= deadline


def time_is_up(run: Run, now: datetime) -> Enter:
    """Take the endpoint of a live run away: its lifetime is over, or nobody used it."""
    reason = "its lifetime ended"
    if run.closes_at is not None and run.closes_at <= now:
        reason = f"its hours ended: {run.options.available}"
    elif run.expires_at is not None and run.expires_at > now:
        reason = f"not used for {run.options.idle_minutes:g} minutes"
    return Enter(Stage.DELETING, outcome=Stage.STOPPED, reason=reason)


def overdue_deployment(run: Run, limits: Limits, now: datetime) -> Enter | None:
    """Give up a deployment that is not live after DEPLOYMENT_DEADLINE_MINUTES, whatever was tried."""
    since = run.entered(Stage.DEPLOYING)
    late = past_deadline(run, f"still {run.stage}", since, limits.deployment_deadline, now)
    reason = why_not_deployed(run)
    # What kept the run from going on says more than that it took too long.
    return give_up(run, *reason, now) if late is not None and reason is not None else late


def name_taken(run: Run, now: datetime) -> Enter:
    """Give up over a job that has the run's name and is somebody else's."""
    message = f"the workspace has a job {run.job_name} that is not this run's; it was left as it is"
    return give_up(run, "JobNameTaken", message, now)


def overdue_training(run: Run, limits: Limits, now: datetime) -> Enter | None:
    """Give up a job that has taken longer than TRAINING_DEADLINE_HOURS."""
    return _overdue_since(run, run.entered(Stage.TRAINING), limits.training_deadline, now)


def _overdue_since(run: Run, since: datetime | None, deadline: timedelta, now: datetime) -> Enter | None:
    late = past_deadline(run, f"still {run.stage}", since, deadline, now)
    if late is not None and run.failures and run.last_fault is not None:
        # What kept the run from going on says more than that it took too long.
        return give_up(run, run.last_fault.code, run.last_fault.message, now)
    return late


def past_deadline(
    run: Run, what: str, since: datetime | None, deadline: timedelta, now: datetime
) -> Enter | None:
    """Give up what has taken longer than its deadline."""
    if since is None or now - since <= deadline:
        return None
    hours = deadline.total_seconds() / 3600
    return give_up(run, "DeadlineExceeded", f"{what} after {hours:g} h", now)
