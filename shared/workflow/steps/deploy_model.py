"""Deploy a trained model with one strategy, and record the outcome."""

from __future__ import annotations

import hashlib

import msgspec

from shared.config import Settings
from shared.domain.errors import ServiceRefusedError
from shared.domain.run.attempts import why_not_deployed
from shared.domain.run.observation import EndpointStatus, Provisioning
from shared.domain.run.parts import Failure
from shared.domain.run.run import Run
from shared.domain.serving.attempts import ServingProgress, concerns_every_strategy, is_out_of_capacity
from shared.domain.serving.record import Route, Serving, StrategyName
from shared.domain.serving.strategies.catalogue import STRATEGIES, order_of
from shared.domain.serving.strategies.strategy import ServedModel, ServingOptions
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.steps.vm_sizes import serve_elsewhere

_log = get_logger(__name__)


def choose_serving(run: Run, options: ServingOptions, services: Services) -> Run:
    """Settle which strategies are tried, and in what order."""
    worked = services.serving_memory.recall(memory_key(run, options))
    return msgspec.structs.replace(
        run, serving=ServingProgress(order=order_of(options.order, worked), began=services.now())
    )


def start_over(run: Run, options: ServingOptions, services: Services) -> Run:
    """Begin anew with all strategies, once each has failed or none of them could have worked."""
    code, message = why_not_deployed(run) or ("", "")
    failure = Failure(code=code, message=message, stage=run.stage, at=services.now())
    if is_out_of_capacity(code, message):
        moved = serve_elsewhere(run, code, message, services.now()) or run
        # The pause, if there was to be one, is over.
        run = msgspec.structs.replace(moved, rebuilds=run.rebuilds, rebuild_at=None)
    fresh = msgspec.structs.replace(run, rebuilds=run.rebuilds + 1, last_fault=failure, smoke_tests=None)
    again = choose_serving(fresh, options, services)
    assert run.serving is not None
    assert again.serving is not None
    earlier = run.serving.earlier + len(run.serving.failed)
    return msgspec.structs.replace(again, serving=msgspec.structs.replace(again.serving, earlier=earlier))


def create_deployment(run: Run, options: ServingOptions, settings: Settings, services: Services) -> Run:
    """Ask for the present strategy's deployment; a refusal that lasts ends the attempt, and not the run.

    Raises:
        TransientServiceError: If Azure ML could not be reached.
        ServiceRefusedError: If it refuses what no other strategy would change, or has not refused for long.
    """
    model, strategy = _served(run), STRATEGIES[_current(run)]
    if (obstacle := strategy.obstacle(model)) is not None:
        return fail_attempt(run, "ModelNotServable", obstacle, services)
    try:
        _deploy(run, options, services)
    except ServiceRefusedError as refusal:
        if is_out_of_capacity(refusal.code, refusal.message):
            moved = serve_elsewhere(run, refusal.code, refusal.message, services.now())
            if moved is not None:
                return moved
        if concerns_every_strategy(refusal.code, refusal.message) or not is_proven(run, settings, services):
            raise
        return fail_attempt(run, refusal.code, refusal.message, services)
    return run


def restore_deployment(run: Run, options: ServingOptions, services: Services) -> Run:
    """Ask again for the deployment of a live run, which somebody deleted: the strategy is known to work.

    Raises:
        TransientServiceError: If Azure ML could not be reached.
        ServiceRefusedError: If it refuses.
    """
    _log.warning("a live endpoint's deployment is restored", extra={"run_id": run.run_id})
    _deploy(run, options, services)
    return run


def _deploy(run: Run, options: ServingOptions, services: Services) -> None:
    assert run.model is not None
    deployment = STRATEGIES[_current(run)].deployment(_served(run), options)
    environment_id = deployment.environment and services.endpoints.ensure_environment(deployment.environment)
    services.endpoints.deploy(
        run.endpoint_name,
        deployment,
        environment_id=environment_id,
        model_id=run.model.id,
        instance_type=run.options.instance_type,
        instance_count=run.options.instance_count,
    )


def fail_deployment(run: Run, endpoint: EndpointStatus, services: Services) -> Run:
    """End the present attempt for what is seen of its deployment."""
    deployment = endpoint.deployment
    if deployment is not None and deployment.state is Provisioning.FAILED:
        return fail_attempt(run, "DeploymentFailed", deployment.failure or "the deployment failed", services)
    return fail_attempt(run, "DeadlineExceeded", "the deployment is up, but did not answer in time", services)


def is_proven(run: Run, settings: Settings, services: Services) -> bool:
    """Whether the run has met faults alone for REFUSAL_DEADLINE_MINUTES, so that they are no accident."""
    deadline = settings.limits().refusal_deadline
    return run.faulty_since is not None and services.now() - run.faulty_since >= deadline


def fail_attempt(run: Run, code: str, message: str, services: Services) -> Run:
    """End the present attempt; its deployment, if there is one, is taken away next."""
    assert run.serving is not None
    failed = run.serving.after_failure(code, message, services.now())
    return msgspec.structs.replace(run, serving=failed, smoke_tests=None)


def serving_of(run: Run, options: ServingOptions, route: Route) -> Serving:
    """How the present attempt serves the run's model."""
    return Serving(
        strategy=_current(run),
        route=route,
        concurrency=STRATEGIES[_current(run)].deployment(_served(run), options).concurrency,
        instances=run.options.instance_count,
    )


def memory_key(run: Run, options: ServingOptions) -> str:
    """What a working strategy is remembered for: the base model, under the options that decide on tries."""
    assert run.plan is not None
    decisive = (run.plan.base_model_id, run.options.instance_type, options)
    return hashlib.sha256(msgspec.json.encode(decisive)).hexdigest()


def _current(run: Run) -> StrategyName:
    assert run.serving is not None
    assert run.serving.current is not None, "decide asks for this step only while there is a strategy to try"
    return run.serving.current


def _served(run: Run) -> ServedModel:
    assert run.model is not None
    assert run.plan is not None
    config = (run.plan.finetune_config or {}).get("inferencing_config") or {}
    return ServedModel(
        name=run.model.name,
        version=run.model.version,
        folder=run.model.folder,
        image_kept=bool(config.get("enable_vllm")),
    )
