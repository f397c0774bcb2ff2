"""Look at what a decision needs to know, and at nothing else: every look is a call."""

from __future__ import annotations

from handlers.take_place import take_place
from shared.config import Settings
from shared.domain.observation import Aspect, Observation, Provisioning, aspects_of
from shared.domain.places import Place
from shared.domain.run import Run
from shared.ports import Services


def observe(run: Run, settings: Settings, services: Services) -> Observation:
    """See the resources of a run as they are now; a place that is free is taken in looking.

    Raises:
        TransientServiceError: If a service could not be reached.
        ServiceRefusedError: If a service may not be asked.
    """
    aspects = aspects_of(run)
    compute = services.workspace.compute(run.options.compute) if Aspect.COMPUTE in aspects else None
    has_place = True
    if Aspect.ENDPOINT_PLACE in aspects:
        has_place = take_place(run, Place.ENDPOINT, settings.max_live_endpoints, services)
    elif Aspect.TRAINING_PLACE in aspects:
        # A place is taken when it can be used, not while the cluster is on its way.
        ready = Aspect.COMPUTE not in aspects or (compute and compute.state is Provisioning.READY)
        limit = settings.max_training_runs
        has_place = bool(ready) and take_place(run, Place.TRAINING, limit, services)
    return Observation(
        job=services.training.job(run.run_id) if Aspect.JOB in aspects else None,
        compute=compute,
        endpoint=services.endpoints.endpoint(run.run_id) if Aspect.ENDPOINT in aspects else None,
        has_place=has_place,
    )
