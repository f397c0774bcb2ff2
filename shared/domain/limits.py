"""Deadlines and polling intervals of a run, from the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

SUBMISSION_DEADLINE = timedelta(hours=1)
"""After which a job that Azure ML accepted must be seen: its listings lag by seconds, so nothing waits for
this but a job that was lost."""


class Limits(NamedTuple):
    """What bounds a run from outside it.

    Attributes:
        compute_deadline: Longest that a cluster may take to come up, from when it was asked for.
        submission_deadline: Longest that a job may not be seen, from when Azure ML first accepted it.
        training_deadline: Longest that a run may be in `training`.
        deployment_deadline: Longest that it may be in `deploying`, whatever is tried meanwhile.
        fault_deadline: Longest that a step may go on failing before the run is given up.
        refusal_deadline: How long an absence or a refusal must last before a run ends over it.
        max_eval_loss: Evaluation loss (nats per token) above which a model is not deployed, or None.
        longest_lifetime: Longest that an endpoint may live, whatever its run's record says.
        resubmissions: How often a job that was lost to preemption is submitted again.
        max_run_cost: Most that a run may cost, or None.
        max_monthly_cost: Most that all runs may cost in a calendar month, or None.
        stop_when_diverged: Whether training that cannot get better is stopped.
        evaluation_budget: Longest that an evaluation goes on asking, from its first row.
        job_poll: How long to leave a running job alone.
        operation_poll: How long to leave a running control-plane operation alone.
    """

    compute_deadline: timedelta = timedelta(hours=1)
    submission_deadline: timedelta = timedelta(hours=1)
    training_deadline: timedelta = timedelta(hours=72)
    deployment_deadline: timedelta = timedelta(hours=2)
    fault_deadline: timedelta = timedelta(hours=12)
    refusal_deadline: timedelta = timedelta(minutes=5)
    max_eval_loss: float | None = None
    longest_lifetime: timedelta = timedelta(days=7)
    resubmissions: int = 2
    max_run_cost: float | None = None
    max_monthly_cost: float | None = None
    stop_when_diverged: bool = False
    evaluation_budget: timedelta = timedelta(minutes=10)
    job_poll: timedelta = timedelta(seconds=60)
    operation_poll: timedelta = timedelta(seconds=5)
