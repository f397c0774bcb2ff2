"""The table of steps. Each step is idempotent: every name in it comes from the run id."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from shared.config import Settings
from shared.domain.errors import FinetuneError, ServiceRefusedError
from shared.domain.run.decision import Step
from shared.domain.run.observation import EndpointStatus, Observation, Provisioning
from shared.domain.run.parts import Failure, Metrics, TrainingPlan
from shared.domain.run.progress import progress_of, unread_progress
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage
from shared.domain.serving.attempts import is_out_of_capacity
from shared.domain.training.component import context_window
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.audit import audit
from shared.workflow.budget import reserve_budget
from shared.workflow.quote import remember_job_time
from shared.workflow.slots import request_slot
from shared.workflow.steps.base_model import delete_base, deploy_base, end_base, note_base_gone, plan_base
from shared.workflow.steps.claim_content import claim_content
from shared.workflow.steps.deploy_model import (
    choose_serving,
    create_deployment,
    fail_deployment,
    restore_deployment,
    start_over,
)
from shared.workflow.steps.endpoint import create_endpoint, rebuild_endpoint, rename_endpoint
from shared.workflow.steps.evaluate import evaluate
from shared.workflow.steps.follow_upload import reopen, supersede
from shared.workflow.steps.plan_training import plan_training
from shared.workflow.steps.promote import promote
from shared.workflow.steps.smoke_test import smoke_test
from shared.workflow.steps.validate_dataset import validate_dataset
from shared.workflow.steps.vm_sizes import train_elsewhere

_log = get_logger(__name__)

CarryOut = Callable[[Run, Observation, Settings, Services], Run]


def carry_out(step: Step, run: Run, seen: Observation, settings: Settings, services: Services) -> Run:
    """Carry out one step and return the run with what came of it.

    Raises:
        FinetuneError: Whatever kept the step from being done; `retryable` says whether to try again.
    """
    return _STEPS[step](run, seen, settings, services)


def _reopen(run: Run, seen: Observation, settings: Settings, services: Services) -> Run:
    return reopen(run, seen, settings, services)


def _supersede(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    return supersede(run, services)


def _validate(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    model = services.registry.base_model(run.options.base_model)
    window = context_window(
        model.context_window, settings.context_window, model.defaults, run.options.parameters
    )
    rules = settings.validation_rules(run.options, window)
    return validate_dataset(run, rules, services, smoke_rows=settings.smoke_test_rows)


def _plan(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    return plan_training(run, settings, services)


def _claim(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    return claim_content(run, services)


def _reserve_budget(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    assert settings.max_monthly_cost is not None, "decide asks for this step only under a cap"
    return reserve_budget(run, settings.max_monthly_cost, services)


def _create_compute(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    plan = _plan_of(run)
    try:
        services.workspace.create_compute(
            plan.compute, plan.compute_size, max_nodes=settings.compute_max_nodes
        )
    except ServiceRefusedError as refusal:
        return _elsewhere(run, refusal, services)
    requested = run.compute_requested_at or services.now()
    return msgspec.structs.replace(run, compute_requested_at=requested, compute_created=True)


def _replace_compute(run: Run, seen: Observation, _settings: Settings, services: Services) -> Run:
    """Delete a cluster of which Azure ML could not create a node, and train on the next VM size."""
    reason = (seen.compute.failure if seen.compute is not None else None) or "no capacity"
    moved = train_elsewhere(run, reason, services.now())
    if moved is None:
        return run
    name = _plan_of(run).compute
    audit("delete cluster", name, run.run_id, f"it failed: {reason}")
    services.workspace.delete_compute(name)
    return msgspec.structs.replace(moved, compute_requested_at=None, compute_created=False)


def _acquire_slot(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    kind = SlotKind.TRAINING if run.stage is Stage.VALIDATED else SlotKind.ENDPOINT
    return msgspec.structs.replace(run, slot=request_slot(run, kind, settings, services))


def _submit_job(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    plan = _plan_of(run)
    config = None
    if plan.finetune_config is not None:
        text = msgspec.json.encode(plan.finetune_config)
        config = services.datasets.save_finetune_config(run.run_id, text)
    try:
        services.training.submit(run, plan, finetune_config=config)
    except ServiceRefusedError as refusal:
        return _elsewhere(run, refusal, services)
    return msgspec.structs.replace(run, job_submitted_at=run.job_submitted_at or services.now())


def _elsewhere(run: Run, refusal: ServiceRefusedError, services: Services) -> Run:
    """Plan anew with the next VM size to train on, where there is one and another would help."""
    if is_out_of_capacity(refusal.code, refusal.message):
        moved = train_elsewhere(run, refusal.message, services.now())
        if moved is not None:
            return moved
    raise refusal


def _replace_job(run: Run, seen: Observation, _settings: Settings, services: Services) -> Run:
    """The intent to submit the job again, on record before it is: a job's name is used once."""
    lost = seen.job.failure if seen.job is not None else None
    failure = Failure(code="JobPreempted", message=lost or "", stage=run.stage, at=services.now())
    return msgspec.structs.replace(
        run,
        job_number=run.job_number + 1,
        job=None,
        job_submitted_at=None,
        progress=None,
        last_fault=failure,
    )


def _read_progress(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    now = services.now()
    try:
        progress = progress_of(run, services.metrics.read_training(run.job_name), now)
    except FinetuneError as fault:
        # The job goes on, whether or not it can be watched.
        _log.warning("training cannot be read", extra={"run_id": run.run_id, "code": fault.code})
        progress = unread_progress(run, run.entered(Stage.TRAINING) or now, now)
    return msgspec.structs.replace(run, progress=progress)


def _collect_metrics(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    try:
        measured = msgspec.structs.replace(run, metrics=services.metrics.read(run.job_name))
        remember_job_time(measured, services)
    except FinetuneError as fault:
        limits, now = settings.limits(), services.now()
        lasted = run.faulty_since is not None and now - run.faulty_since >= limits.refusal_deadline
        if limits.max_eval_loss is not None or not lasted:
            raise
        # Nothing depends on them but MAX_EVAL_LOSS: the model is deployed without.
        _log.warning("metrics cannot be read", extra={"run_id": run.run_id, "code": fault.code})
        return msgspec.structs.replace(run, metrics=Metrics(latest={}, history={}))
    return measured


def _register_model(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    return msgspec.structs.replace(run, model=services.training.register(run, _plan_of(run)))


def _create_endpoint(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    return create_endpoint(run, settings, services)


def _rename_endpoint(run: Run, _seen: Observation, _settings: Settings, _services: Services) -> Run:
    return rename_endpoint(run)


def _rebuild_endpoint(run: Run, seen: Observation, _settings: Settings, services: Services) -> Run:
    return rebuild_endpoint(run, _endpoint_of(seen), services)


def _start_over(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    return start_over(run, settings.serving_options(run.options), services)


def _choose_serving(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    return choose_serving(run, settings.serving_options(run.options), services)


def _create_deployment(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    return create_deployment(run, settings.serving_options(run.options), settings, services)


def _fail_deployment(run: Run, seen: Observation, _settings: Settings, services: Services) -> Run:
    return fail_deployment(run, _endpoint_of(seen), services)


def _restore_deployment(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    return restore_deployment(run, settings.serving_options(run.options), services)


def _delete_deployment(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    audit("delete deployment", run.endpoint_name, run.run_id, "this way of serving the model did not work")
    services.endpoints.delete_deployment(run.endpoint_name)
    return run


def _try_next_serving(run: Run, _seen: Observation, _settings: Settings, _services: Services) -> Run:
    assert run.serving is not None, "decide asks for this step only after CHOOSE_SERVING"
    return msgspec.structs.replace(run, serving=run.serving.after_removal())


def _smoke_test(run: Run, seen: Observation, settings: Settings, services: Services) -> Run:
    return smoke_test(run, _endpoint_of(seen), settings, services)


def _plan_base(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    return plan_base(run, settings, services)


def _deploy_base(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    return deploy_base(run, services)


def _end_base(run: Run, seen: Observation, _settings: Settings, _services: Services) -> Run:
    base = _endpoint_of(seen).base
    failed = base is not None and base.state is Provisioning.FAILED
    why = (
        (base.failure or "its deployment failed")
        if base is not None and failed
        else "it did not come up in time"
    )
    return end_base(run, why if run.to_be_evaluated else None)


def _delete_base(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    return delete_base(run, services)


def _note_base_gone(run: Run, _seen: Observation, _settings: Settings, _services: Services) -> Run:
    return note_base_gone(run)


def _evaluate(run: Run, seen: Observation, settings: Settings, services: Services) -> Run:
    return evaluate(run, _endpoint_of(seen), settings, services)


def _route_traffic(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    services.endpoints.route_traffic(run.endpoint_name)
    return run


def _promote(run: Run, _seen: Observation, settings: Settings, services: Services) -> Run:
    return promote(run, settings, services)


def _cancel_job(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    audit("cancel job", run.job_name, run.run_id, run.end_reason or "its run is in teardown")
    services.training.cancel(run.job_name)
    return run


def _delete_endpoint(run: Run, _seen: Observation, _settings: Settings, services: Services) -> Run:
    audit("delete endpoint", run.endpoint_name, run.run_id, run.end_reason or "its run is in teardown")
    services.endpoints.delete(run.endpoint_name)
    return run


_STEPS: dict[Step, CarryOut] = {
    Step.REOPEN: _reopen,
    Step.SUPERSEDE: _supersede,
    Step.VALIDATE: _validate,
    Step.PLAN: _plan,
    Step.CLAIM: _claim,
    Step.RESERVE_BUDGET: _reserve_budget,
    Step.CREATE_COMPUTE: _create_compute,
    Step.REPLACE_COMPUTE: _replace_compute,
    Step.ACQUIRE_SLOT: _acquire_slot,
    Step.SUBMIT_JOB: _submit_job,
    Step.READ_PROGRESS: _read_progress,
    Step.COLLECT_METRICS: _collect_metrics,
    Step.REGISTER_MODEL: _register_model,
    Step.REPLACE_JOB: _replace_job,
    Step.CREATE_ENDPOINT: _create_endpoint,
    Step.RENAME_ENDPOINT: _rename_endpoint,
    Step.REBUILD_ENDPOINT: _rebuild_endpoint,
    Step.START_OVER: _start_over,
    Step.CHOOSE_SERVING: _choose_serving,
    Step.CREATE_DEPLOYMENT: _create_deployment,
    Step.FAIL_DEPLOYMENT: _fail_deployment,
    Step.DELETE_DEPLOYMENT: _delete_deployment,
    Step.RESTORE_DEPLOYMENT: _restore_deployment,
    Step.TRY_NEXT_SERVING: _try_next_serving,
    Step.SMOKE_TEST: _smoke_test,
    Step.PLAN_BASE: _plan_base,
    Step.DEPLOY_BASE: _deploy_base,
    Step.END_BASE: _end_base,
    Step.DELETE_BASE: _delete_base,
    Step.NOTE_BASE_GONE: _note_base_gone,
    Step.EVALUATE: _evaluate,
    Step.ROUTE_TRAFFIC: _route_traffic,
    Step.PROMOTE: _promote,
    Step.CANCEL_JOB: _cancel_job,
    Step.DELETE_ENDPOINT: _delete_endpoint,
}


def _plan_of(run: Run) -> TrainingPlan:
    assert run.plan is not None, "decide asks for this step only after PLAN"
    return run.plan


def _endpoint_of(seen: Observation) -> EndpointStatus:
    assert seen.endpoint is not None, "decide asks for this step only of an endpoint that was seen"
    return seen.endpoint
