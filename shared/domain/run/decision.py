"""What can be decided about a run: carry out a step, enter a stage, or wait."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.domain.run.fault_policy import Operation
from shared.domain.run.parts import Failure
from shared.domain.run.stages import Stage


class Step(StrEnum):
    """One idempotent piece of work. A step that finds its work done already changes nothing."""

    REOPEN = "reopen"
    # Take up an upload whose files came, went or changed before training started.
    SUPERSEDE = "supersede"
    # Have a newer version of the upload opened, which takes this run's place.
    VALIDATE = "validate"
    PLAN = "plan"
    CLAIM = "claim"
    RESERVE_BUDGET = "reserve_budget"
    CREATE_COMPUTE = "create_compute"
    REPLACE_COMPUTE = "replace_compute"
    ACQUIRE_SLOT = "acquire_slot"
    SUBMIT_JOB = "submit_job"
    READ_PROGRESS = "read_progress"
    COLLECT_METRICS = "collect_metrics"
    REGISTER_MODEL = "register_model"
    REPLACE_JOB = "replace_job"
    CREATE_ENDPOINT = "create_endpoint"
    RENAME_ENDPOINT = "rename_endpoint"
    REBUILD_ENDPOINT = "rebuild_endpoint"
    START_OVER = "start_over"
    CHOOSE_SERVING = "choose_serving"
    CREATE_DEPLOYMENT = "create_deployment"
    FAIL_DEPLOYMENT = "fail_deployment"
    DELETE_DEPLOYMENT = "delete_deployment"
    RESTORE_DEPLOYMENT = "restore_deployment"
    TRY_NEXT_SERVING = "try_next_serving"
    SMOKE_TEST = "smoke_test"
    PLAN_BASE = "plan_base"
    # Put on record that the base model is to be deployed too, or why not.
    DEPLOY_BASE = "deploy_base"
    END_BASE = "end_base"
    # Put on record that the base model's deployment is to go.
    DELETE_BASE = "delete_base"
    NOTE_BASE_GONE = "note_base_gone"
    EVALUATE = "evaluate"
    # Put some more test rows to the deployment, and measure its answers once it has them all.
    ROUTE_TRAFFIC = "route_traffic"
    PROMOTE = "promote"
    # Decide whether the model takes its dataset's name.
    CANCEL_JOB = "cancel_job"
    DELETE_ENDPOINT = "delete_endpoint"


COSTLY = frozenset(
    {Step.SUBMIT_JOB, Step.CREATE_ENDPOINT, Step.CREATE_DEPLOYMENT, Step.RESTORE_DEPLOYMENT, Step.DEPLOY_BASE}
)
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
            Step.REBUILD_ENDPOINT,
            Step.DELETE_DEPLOYMENT,
            Step.PLAN_BASE,
            Step.DEPLOY_BASE,
            Step.END_BASE,
            Step.DELETE_BASE,
            Step.NOTE_BASE_GONE,
            Step.EVALUATE,
            Step.PROMOTE,
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
