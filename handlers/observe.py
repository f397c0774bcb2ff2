"""Look at what a decision needs to know, and at nothing else: every look is a call."""

from __future__ import annotations

from shared.config import Settings
from shared.domain.index import may_deploy, may_train
from shared.domain.observation import Aspect, Observation, aspects_of
from shared.domain.run import Run
from shared.ports import Services


def observe(run: Run, settings: Settings, services: Services) -> Observation:
    """See the resources of a run as they are now.

    Raises:
        TransientServiceError: If a service could not be reached.
        ServiceRefusedError: If a service may not be asked.
    """
    aspects = aspects_of(run)
    slot_free = True
    if Aspect.TRAINING_SLOT in aspects and settings.max_training_runs:
        slot_free = may_train(run, services.runs.entries(), settings.max_training_runs)
    if Aspect.ENDPOINT_SLOT in aspects and settings.max_live_endpoints:
        slot_free = may_deploy(run, services.runs.entries(), settings.max_live_endpoints)
    return Observation(
        job=services.training.job(run.run_id) if Aspect.JOB in aspects else None,
        compute=services.workspace.compute(run.options.compute) if Aspect.COMPUTE in aspects else None,
        endpoint=services.endpoints.endpoint(run.run_id) if Aspect.ENDPOINT in aspects else None,
        slot_free=slot_free,
    )
