"""Plan training: make every check that is possible before anything costs money."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from shared.config import Settings
from shared.domain.errors import InvalidRunError, ServiceRefusedError
from shared.domain.run.cost import nodes_of
from shared.domain.run.observation import Provisioning
from shared.domain.run.options import SERVERLESS, RunOptions, choose_another
from shared.domain.run.parts import TrainingPlan
from shared.domain.run.quote import Quote
from shared.domain.run.run import Run
from shared.domain.serving.strategies.catalogue import finetune_config
from shared.domain.training.base_model import check_base_model, check_deployment_size, check_training_size
from shared.domain.training.capacity import Choice, Quota, VmSize, choose_size, cores_for_endpoint
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
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.quote import Settled, amount_of, make_quote
from shared.workflow.steps.vm_sizes import after_choice

_log = get_logger(__name__)


class Preflight(NamedTuple):
    """What preflight settled.

    Attributes:
        plan: What would be submitted.
        workspace_id: The workspace that it was settled for.
        training: The VM size to train on, and why not those before it.
        serving: The same for the deployment.
        sizes: Those of the region, by name in lower case.
    """

    plan: TrainingPlan
    workspace_id: str
    training: Choice
    serving: Choice
    sizes: Mapping[str, VmSize]

    @property
    def for_quote(self) -> Settled:
        """What an estimate needs of this."""
        return Settled(self.plan, self.serving.size, self.name_of)

    def name_of(self, size: str) -> str:
        """A size as Azure spells it."""
        found = self.sizes.get(size.lower())
        return (found.name if found is not None else "") or size


def plan_training(run: Run, settings: Settings, services: Services) -> Run:
    """Settle what will be submitted and estimate what it costs, and refuse what cannot work.

    Raises:
        InvalidRunError: Saying what is wrong with the model, the compute or the parameters.
        ServiceRefusedError: If the registry or the workspace may not be read.
        TransientServiceError: If either could not be reached.
    """
    settled = preflight(run.options, run.dataset, settings, services)
    quote = quote_of(run, settled, settings, services)
    run = after_choice(run, settled.training, settled.serving, services.now())
    services.workspace.ensure_datastore()
    return msgspec.structs.replace(run, plan=settled.plan, quote=quote, workspace_id=settled.workspace_id)


def quote_of(run: Run, settled: Preflight, settings: Settings, services: Services) -> Quote | None:
    """The estimate of a validated run; None if it lacks the report that says how much data there is."""
    if run.report is None:
        return None
    return make_quote(run.options, settled.for_quote, amount_of(run.report), settings, services)


def preflight(options: RunOptions, dataset: str, settings: Settings, services: Services) -> Preflight:
    """Make every check that is possible before a run costs anything; nothing is written or created.

    Args:
        options: The run's options, within the operator's bounds.
        dataset: The dataset's name, which becomes part of the job's display name.
        settings: The app's settings.
        services: The ports.

    Raises:
        InvalidRunError: Saying what is wrong with the model, the compute or the parameters.
        ServiceRefusedError: If the registry or the workspace may not be read.
        TransientServiceError: If either could not be reached.
    """
    workspace_id = services.workspace.id()
    model = services.registry.base_model(options.base_model)
    check_base_model(model, allow_retired=settings.allow_retired_model, now=services.now())
    component = services.registry.component(COMPONENT_NAME)
    check_model_input(component, model.input)
    parameters = plan_parameters(component, model.defaults, options.parameters)
    check_combination(parameters)
    window = context_window(model.context_window, settings.context_window, model.defaults, options.parameters)
    if MAX_SEQ_LENGTH in component.inputs:
        # Otherwise the trainer would take the tokenizer's own, whatever validation counted with.
        parameters[MAX_SEQ_LENGTH] = window
    sizes, quotas = services.workspace.vm_sizes(), _quotas(services)
    wanted, exists = _training_compute(options, settings, services)
    nodes = nodes_of(parameters)
    training = choose_size(
        wanted,
        "compute_size",
        sizes,
        quotas,
        check=lambda size: check_training_size(model, size),
        cores=lambda size: nodes * size.cores,
        with_gpu=True,
    )
    serving = choose_size(
        (options.instance_type, *options.other_instance_types),
        "instance_type",
        sizes,
        quotas,
        check=lambda size: check_deployment_size(model, size),
        cores=lambda size: cores_for_endpoint(size, options.instance_count),
    )
    gpus = sizes[training.size.lower()].gpus
    takes_config = FINETUNE_CONFIG in component.inputs
    lora = lora_config(model.name, parameters, offered=takes_config, vouched=model.defaults)
    order = settings.serving_options(options).order
    plan = TrainingPlan(
        base_model_id=model.id,
        base_model_name=model.name,
        base_model_version=model.version,
        component_id=component.id,
        component_version=component.version,
        parameters=parameters,
        compute=options.compute,
        compute_size=training.size,
        gpus_per_node=gpus,
        display_name=display_name(model.name, dataset, parameters, gpus),
        create_compute=not exists,
        base_model_input=model.input,
        context_window=window,
        finetune_config={**finetune_config(order), **lora} if takes_config else None,
    )
    return Preflight(plan, workspace_id, training, serving, sizes)


def content_digest(run: Run, plan: TrainingPlan) -> str:
    """Digest of all that decides what is trained: rows and their splits, parameters, base model."""
    fingerprint = run.report.fingerprint if run.report else ""
    decisive = (fingerprint, plan.base_model_id, sorted(plan.parameters.items()))
    return hashlib.sha256(msgspec.json.encode(decisive)).hexdigest()


def _quotas(services: Services) -> Mapping[str, Quota]:
    """Quotas where they may be read: an app that may not read them goes by what Azure ML refuses."""
    try:
        return services.workspace.quotas()
    except ServiceRefusedError as refusal:
        _log.info("quotas cannot be read", extra={"code": refusal.code})
        return {}


def _training_compute(
    options: RunOptions, settings: Settings, services: Services
) -> tuple[tuple[str, ...], bool]:
    """The VM sizes to choose from, and whether there is nothing to create or to wait for.

    The app creates the clusters that the operator's settings name in full, and no others: their number is
    the operator's to choose, not an uploader's.
    """
    wanted = (options.compute_size, *options.other_compute_sizes)
    if options.compute == SERVERLESS:
        return wanted, True
    cluster = services.workspace.compute(options.compute)
    if cluster is None or cluster.state is Provisioning.DELETING:
        named = (settings.compute_cluster, *settings.allowed_computes)
        if options.compute.lower() not in map(str.lower, named):
            raise InvalidRunError(
                f"cluster {options.compute} does not exist, and the app creates only clusters that "
                "COMPUTE_CLUSTER or ALLOWED_COMPUTES names in full; "
                f"create it, or {choose_another('compute')}"
            )
        return wanted, False
    if cluster.state is Provisioning.FAILED:
        raise InvalidRunError(
            f"cluster {options.compute} is in a failed state"
            + (f": {cluster.failure}" if cluster.failure else "")
            + f"; delete it, or {choose_another('compute')}",
        )
    ready = cluster.state is Provisioning.READY
    if not cluster.size:
        # A cluster that is still being created has no say about its size yet.
        return wanted, ready
    chosen = options.compute_size != settings.compute_size[0]
    if chosen and cluster.size.lower() not in map(str.lower, wanted):
        raise InvalidRunError(
            f"cluster {options.compute} has VMs of size {cluster.size}, not {options.compute_size}: "
            "leave `compute_size` out of run.json, or name another cluster as `compute`"
        )
    return (cluster.size,), ready
