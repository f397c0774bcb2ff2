"""What comes next in the search for a way to serve a run's model."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from shared.domain.run.observation import DeploymentStatus, Provisioning
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.attempts import concerns_every_strategy


class NextAction(StrEnum):
    """One piece of work on the deployment of an endpoint that is up."""

    CHOOSE = "choose"
    # Settle the strategies and their order.
    CREATE = "create"
    TEST = "test"
    FAIL = "fail"
    # Put on record that the present attempt failed.
    DELETE = "delete"
    # Take the failed attempt's deployment away.
    TRY_NEXT = "try_next"
    # Put on record that it is gone.
    SERVE = "serve"
    GIVE_UP = "give_up"
    WAIT = "wait"


def next_action(run: Run, deployment: DeploymentStatus | None) -> NextAction:
    """Say what is done next about the deployment.

    Whose deployment is seen follows from the record alone: the last failed attempt's until that is on record
    as removed, the present attempt's from then on.
    """
    progress = run.serving
    if progress is None:
        return NextAction.CHOOSE
    last = progress.failed[-1] if progress.failed else None
    if progress.current is None or (last and concerns_every_strategy(last.code, last.message)):
        return NextAction.GIVE_UP
    if progress.removing:
        return _removing(deployment)
    if deployment is None:
        return NextAction.CREATE
    match deployment.state:
        case Provisioning.FAILED:
            return NextAction.FAIL
        case Provisioning.READY:
            return NextAction.TEST if run.smoke_tests is None else NextAction.SERVE
        case _:
            return NextAction.WAIT


def attempt_began(run: Run) -> datetime | None:
    """When the present attempt began (UTC): with the stage, or when the attempt before it failed."""
    failed = run.serving.failed if run.serving else ()
    return failed[-1].at if failed else run.entered(Stage.DEPLOYING)


def _removing(deployment: DeploymentStatus | None) -> NextAction:
    if deployment is None:
        return NextAction.TRY_NEXT
    return NextAction.WAIT if deployment.state is Provisioning.DELETING else NextAction.DELETE
