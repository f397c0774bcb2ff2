"""Look at what a decision needs to know, and at nothing else: every look is a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from handlers.take_place import take_place
from shared.config import Settings
from shared.domain.decide import standing
from shared.domain.errors import FinetuneError
from shared.domain.observation import Aspect, Observation, Provisioning, aspects_of
from shared.domain.places import Place
from shared.domain.run import Run
from shared.domain.stages import Stage
from shared.ports import Services

Seen = TypeVar("Seen")


def observe(run: Run, settings: Settings, services: Services) -> Observation:
    """See the resources of a run as they are now; a place that is free is taken in looking.

    Raises:
        TransientServiceError: If a service could not be reached.
        ServiceRefusedError: If a service may not be asked.
    """
    if run.stage is Stage.DELETING:
        return _what_is_left(run, services)
    aspects = aspects_of(run)
    compute = services.workspace.compute(run.options.compute) if Aspect.COMPUTE in aspects else None
    has_place = True
    if Aspect.ENDPOINT_PLACE in aspects:
        has_place = take_place(run, Place.ENDPOINT, settings, services)
    elif Aspect.TRAINING_PLACE in aspects:
        # A place is taken when it can be used, not while the cluster is on its way.
        ready = Aspect.COMPUTE not in aspects or (compute and compute.state is Provisioning.READY)
        has_place = bool(ready) and take_place(run, Place.TRAINING, settings, services)
    return Observation(
        job=services.training.job(run.run_id) if Aspect.JOB in aspects else None,
        compute=compute,
        endpoint=services.endpoints.endpoint(run.run_id) if Aspect.ENDPOINT in aspects else None,
        has_place=has_place,
    )


def _what_is_left(run: Run, services: Services) -> Observation:
    """Job and endpoint of a teardown: one that cannot be looked at does not keep the other standing."""
    faults: list[FinetuneError] = []

    def look(at: Callable[[str], Seen]) -> Seen | None:
        try:
            return at(run.run_id)
        except FinetuneError as fault:
            faults.append(fault)
            return None

    seen = Observation(job=look(services.training.job), endpoint=look(services.endpoints.endpoint))
    if faults and not standing(seen):
        raise faults[0]
    return seen
