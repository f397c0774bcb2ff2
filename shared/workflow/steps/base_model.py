"""Deploy the base model beside a run's own, so that both can be asked the same, and take it away again."""

from __future__ import annotations

import msgspec

from shared.config import Settings
from shared.domain.errors import FinetuneError, ScoringError, ServiceRefusedError, TransientServiceError
from shared.domain.run.observation import EndpointStatus
from shared.domain.run.parts import BaseDeployment
from shared.domain.run.run import Run
from shared.domain.serving.chat import Chat
from shared.domain.serving.deployment import BASE_DEPLOYMENT, Deployment
from shared.domain.serving.dialects import read_reply, upstream_request
from shared.domain.serving.record import (
    BATCH_ROUTE,
    OLD_OPENAI_ROUTE,
    OPENAI_ROUTE,
    SCORE_ROUTE,
    Route,
    Serving,
    StrategyName,
)
from shared.domain.training.capacity import cores_for_endpoint
from shared.logs import get_logger
from shared.ports import ScoringTarget, Services
from shared.workflow.audit import audit
from shared.workflow.slots import room_for_another_vm
from shared.workflow.steps.ask_rows import UNAVAILABLE

ROUTES = (OPENAI_ROUTE, OLD_OPENAI_ROUTE, SCORE_ROUTE, BATCH_ROUTE)
"""Of all servers that Azure ML may choose for a model of a registry, the best first."""

VARIABLES = {"ENGINE_NAME": "vllm", "WORKER_COUNT": "1"}
"""Azure ML chooses the image by the model: vLLM's knows the engine of some models only, MLflow's server loads
the model once for each worker."""

GREETING = ({"role": "user", "content": "Hello!"},)

_log = get_logger(__name__)


def plan_base(run: Run, settings: Settings, services: Services) -> Run:
    """Put on record that the base model is to be deployed, if there is room for it; nothing is asked yet.

    Its VM counts as those of endpoints do: an upload may ask for it, and the operator's limit holds.
    """
    lacking = _lacking_quota(run, services)
    if lacking is None and not room_for_another_vm(settings, services):
        lacking = "MAX_LIVE_ENDPOINTS has no room for the base model's VM"
    return msgspec.structs.replace(
        run,
        base=BaseDeployment(
            at=services.now(), why=lacking, over=lacking is not None, gone=lacking is not None
        ),
    )


def deploy_base(run: Run, services: Services) -> Run:
    """Ask for the base model's deployment; a refusal ends the attempt, and not the run.

    Raises:
        TransientServiceError: If Azure ML could not be reached.
    """
    assert run.plan is not None
    try:
        services.endpoints.deploy(
            run.endpoint_name,
            Deployment(None, VARIABLES, 1),
            environment_id=None,
            model_id=run.plan.base_model_id,
            instance_type=run.options.instance_type,
            instance_count=1,
            slot=BASE_DEPLOYMENT,
        )
    except ServiceRefusedError as refusal:
        return end_base(run, f"{refusal.code}: {refusal.message}")
    return run


def end_base(run: Run, why: str | None) -> Run:
    """Put on record that the base model's deployment is to go."""
    assert run.base is not None
    _log.info("the base model is asked no more", extra={"run_id": run.run_id})
    return msgspec.structs.replace(
        run, base=msgspec.structs.replace(run.base, over=True, why=run.base.why or why)
    )


def delete_base(run: Run, services: Services) -> Run:
    """Start deleting it.

    Raises:
        FinetuneError: If Azure ML could not be reached, or refuses.
    """
    audit("delete deployment", f"{run.endpoint_name}/{BASE_DEPLOYMENT}", run.run_id, "its evaluation is over")
    services.endpoints.delete_deployment(run.endpoint_name, slot=BASE_DEPLOYMENT)
    return run


def note_base_gone(run: Run) -> Run:
    """Put on record that it was seen to be gone."""
    assert run.base is not None
    return msgspec.structs.replace(run, base=msgspec.structs.replace(run.base, gone=True))


def with_route(run: Run, endpoint: EndpointStatus, settings: Settings, services: Services) -> Run:
    """Find how the base model's server is asked, once it is up; without any way it is asked nothing.

    Raises:
        TransientServiceError: If it is not answering yet.
    """
    if not run.has_base or run.base is None or run.base.over or run.base.route is not None:
        return run
    fault: FinetuneError | None = None
    for route in ROUTES:
        target, chat = (
            base_target(run, endpoint, route, settings),
            Chat(GREETING, max_tokens=16, temperature=0),
        )
        try:
            answer = services.scoring.score(target, upstream_request(route, chat), deployment=BASE_DEPLOYMENT)
            read_reply(route, answer, chat)
        except ScoringError as refusal:
            if refusal.status in UNAVAILABLE:
                raise TransientServiceError(
                    f"the base model: {refusal.message}", code=refusal.code
                ) from refusal
            fault = refusal
            continue
        return msgspec.structs.replace(run, base=msgspec.structs.replace(run.base, route=route))
    return end_base(run, f"{fault.code}: {fault.message}" if fault is not None else None)


def base_target(run: Run, endpoint: EndpointStatus, route: Route, settings: Settings) -> ScoringTarget:
    """Where the base model answers; it works on one request at a time."""
    serving = Serving(strategy=StrategyName.MLFLOW, route=route, concurrency=1, instances=1)
    return ScoringTarget(run.endpoint_name, endpoint.scoring_uri or "", settings.endpoint_auth_mode, serving)


def _lacking_quota(run: Run, services: Services) -> str | None:
    """Why there is no room for another VM; None if there is, or nobody may know."""
    try:
        size = services.workspace.vm_sizes().get(run.options.instance_type.lower())
        quota = services.workspace.quotas().get(size.family.lower()) if size is not None else None
    except ServiceRefusedError:
        return None
    if size is None or quota is None:
        return None
    needed, left = cores_for_endpoint(size, 1), quota.limit - quota.used
    if left >= needed:
        return None
    return f"the base model needs {needed} vCPUs of {size.family}, and {left} of {quota.limit} are left"
