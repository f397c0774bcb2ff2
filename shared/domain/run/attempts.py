"""Decide the next action of an attempt to serve a run's model."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.backoff import backoff
from shared.domain.run.observation import DeploymentStatus, Provisioning
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.attempts import concerns_every_strategy, is_out_of_capacity


class NextAction(StrEnum):
    """One piece of work on the deployment of an endpoint that is up."""

    CHOOSE = "choose"
    # Settle the strategies and their order.
    CREATE = "create"
    TEST = "test"
    EVALUATE = "evaluate"
    FAIL = "fail"
    # Put on record that the present attempt failed.
    DELETE = "delete"
    # Take the failed attempt's deployment away.
    TRY_NEXT = "try_next"
    # Put on record that it is gone.
    SERVE = "serve"
    START_OVER = "start_over"
    # No strategy is left: after a pause, all are tried again.
    WAIT = "wait"


def next_action(run: Run, deployment: DeploymentStatus | None) -> NextAction:
    """Say what is done next about the deployment.

    Whose deployment is seen follows from the record alone: the last failed attempt's until that is on record
    as removed, the present attempt's from then on.
    """
    progress = run.serving
    if progress is None:
        return NextAction.CHOOSE
    if progress.removing:
        return _removing(deployment)
    last = progress.failed[-1] if progress.failed else None
    if progress.current is None or (last and concerns_every_strategy(last.code, last.message)):
        return NextAction.START_OVER
    if deployment is None:
        return NextAction.CREATE
    match deployment.state:
        case Provisioning.FAILED:
            return NextAction.FAIL
        case Provisioning.READY:
            if run.smoke_tests is None:
                return NextAction.TEST
            return NextAction.EVALUATE if run.to_be_evaluated else NextAction.SERVE
        case _:
            return NextAction.WAIT


def attempt_ends(run: Run, deadline: timedelta) -> datetime | None:
    """When the present attempt has had its share of the deadline (UTC); None outside `deploying`.

    The deadline is one for all attempts: each strategy that is left gets the same share of what is left.
    """
    entered, progress = run.entered(Stage.DEPLOYING), run.serving
    if entered is None or progress is None:
        return None
    began = progress.failed[-1].at if progress.failed else progress.began or entered
    left = max(1, len(progress.order) - len(progress.failed))
    return began + max(entered + deadline - began, timedelta()) / left


def start_over_at(run: Run) -> datetime | None:
    """When all strategies may be tried again (UTC), with growing pauses; None while one is being tried."""
    if run.serving is None or not run.serving.failed:
        return None
    last, sizes = run.serving.failed[-1], 1 + len(run.options.other_instance_types)
    if is_out_of_capacity(last.code, last.message) and (run.sizes_refused + 1) % sizes:
        # There is a VM size left that may be had.
        return last.at
    return last.at + backoff(run.rebuilds + 1, 1.0)


def why_not_deployed(run: Run) -> tuple[str, str] | None:
    """Code and message of what keeps a run from being deployed, or None while nothing did."""
    if run.failures and run.last_fault is not None:
        return run.last_fault.code, run.last_fault.message
    if run.serving is not None and run.serving.failed:
        last = run.serving.failed[-1]
        if concerns_every_strategy(last.code, last.message):
            return last.code, last.message
        return "NoServingStrategy", run.serving.explain_failures()
    if run.rebuilds and run.last_fault is not None:
        return run.last_fault.code, run.last_fault.message
    return None


def _removing(deployment: DeploymentStatus | None) -> NextAction:
    if deployment is None:
        return NextAction.TRY_NEXT
    return NextAction.WAIT if deployment.state is Provisioning.DELETING else NextAction.DELETE
