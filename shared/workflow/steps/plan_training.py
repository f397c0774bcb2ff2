"""Plan training: make every check that is possible before anything costs money."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from shared.domain.errors import InvalidRunError
from shared.domain.run.observation import Provisioning
from shared.domain.run.options import SERVERLESS, RunOptions, choose_another
from shared.domain.run.parts import TrainingPlan
from shared.domain.run.run import Run
from shared.domain.serving.record import StrategyName
from shared.domain.serving.strategies.catalogue import finetune_config
from shared.domain.training.base_model import check_base_model, check_deployment_size, check_training_size
from shared.domain.training.combinations import check_combination, lora_config
from shared.domain.training.component import (
    COMPONENT_NAME,
    FINETUNE_CONFIG,
    MAX_SEQ_LENGTH,
    check_model_input,
    context_window,
    plan_parameters,
)
from shared.domain.training.display_name import display_name
from shared.ports import Services


def plan_training(
    run: Run,
    *,
    allow_retired_model: bool,
    serving: Iterable[StrategyName],
    most_tokens: int | None,
    services: Services,
) -> Run:
    """Settle what will be submitted, and refuse what cannot work.

    Raises:
        InvalidRunError: Saying what is wrong with the model, the compute or the parameters.
        ServiceRefusedError: If the registry or the workspace may not be read.
        TransientServiceError: If either could not be reached.
    """
    options = run.options
    workspace_id = services.workspace.id()
    model = services.registry.base_model(options.base_model)
    check_base_model(model, allow_retired=allow_retired_model, now=services.now())
    component = services.registry.component(COMPONENT_NAME)
    check_model_input(component, model.input)
    parameters = plan_parameters(component, model.defaults, options.parameters)
    check_combination(parameters)
    window = context_window(model.context_window, most_tokens, model.defaults, options.parameters)
    if MAX_SEQ_LENGTH in component.inputs:
        # Otherwise the trainer would take the tokenizer's own, whatever validation counted with.
        parameters[MAX_SEQ_LENGTH] = window
    takes_config = FINETUNE_CONFIG in component.inputs
    lora = lora_config(model.name, parameters, offered=takes_config, vouched=model.defaults)
    size, exists = _training_compute(options, services)
    check_training_size(model, size)
    check_deployment_size(model, options.instance_type)
    gpus = services.workspace.gpus_of(size)
    if not gpus:
        fault = "is not offered in the workspace's region" if gpus is None else "has no GPU"
        raise InvalidRunError(f"VM size {size} {fault}: {choose_another('compute_size')}")
    if services.workspace.gpus_of(options.instance_type) is None:
        raise InvalidRunError(
            f"VM size {options.instance_type} is not offered in the workspace's region: "
            f"{choose_another('instance_type')}",
        )
    services.workspace.ensure_datastore()
    plan = TrainingPlan(
        base_model_id=model.id,
        base_model_name=model.name,
        base_model_version=model.version,
        component_id=component.id,
        component_version=component.version,
        parameters=parameters,
        compute=options.compute,
        compute_size=size,
        gpus_per_node=gpus,
        display_name=display_name(model.name, run.dataset, parameters, gpus),
        create_compute=not exists,
        base_model_input=model.input,
        context_window=window,
        finetune_config={**finetune_config(serving), **lora} if takes_config else None,
    )
    return msgspec.structs.replace(run, plan=plan, workspace_id=workspace_id)


def content_digest(run: Run, plan: TrainingPlan) -> str:
    """Digest of all that decides what is trained: rows and their splits, parameters, base model."""
    fingerprint = run.report.fingerprint if run.report else ""
    decisive = (fingerprint, plan.base_model_id, sorted(plan.parameters.items()))
    return hashlib.sha256(msgspec.json.encode(decisive)).hexdigest()


def _training_compute(options: RunOptions, services: Services) -> tuple[str, bool]:
    if options.compute == SERVERLESS:
        return options.compute_size, True
    cluster = services.workspace.compute(options.compute)
    if cluster is None:
        return options.compute_size, False
    if cluster.state is Provisioning.FAILED:
        raise InvalidRunError(
            f"cluster {options.compute} is in a failed state"
            + (f": {cluster.failure}" if cluster.failure else "")
            + f"; delete it, or {choose_another('compute')}",
        )
    # A cluster that is still being created has no say about its size yet.
    return cluster.size or options.compute_size, True
