"""Create a run's endpoint, under another name where its own is held, and again where it failed."""

from __future__ import annotations

import re

import msgspec

from shared.config import Settings
from shared.domain.backoff import backoff
from shared.domain.errors import ServiceRefusedError, TransientServiceError
from shared.domain.run.names import NAMES_OF_A_RUN, RUN_TAG
from shared.domain.run.observation import EndpointStatus
from shared.domain.run.parts import Failure
from shared.domain.run.run import Run
from shared.ports import Services
from shared.workflow.audit import audit
from shared.workflow.steps.deploy_model import is_proven

_TAKEN = re.compile(
    r"already (an endpoint|exists|taken|in use)|needs? to be unique|must be unique", re.IGNORECASE
)
"""How Azure ML says that another endpoint of the region has a name (azureml-examples #1931,
azure-sdk-for-python #35109)."""

_HELD = frozenset({404, 409})
"""What it answers for a name that it has not let go of yet (azure-cli-extensions #7660)."""


def create_endpoint(run: Run, settings: Settings, services: Services) -> Run:
    """Ask for the run's endpoint; a name that somebody else has, or that stays held, is left for the next.

    Raises:
        TransientServiceError: If Azure ML could not be reached, or holds the name for now.
        ServiceRefusedError: If it refuses for another reason.
    """
    name = run.endpoint_name
    try:
        services.endpoints.create(name, auth_mode=settings.endpoint_auth_mode, tags={RUN_TAG: run.run_id})
    except (ServiceRefusedError, TransientServiceError) as refusal:
        held = refusal.status in _HELD and is_proven(run, settings, services)
        if not (held or _TAKEN.search(refusal.message)):
            raise
        failure = Failure(code=refusal.code, message=refusal.message, stage=run.stage, at=services.now())
        return rename_endpoint(msgspec.structs.replace(run, last_fault=failure, rebuilds=run.rebuilds + 1))
    return run


def rename_endpoint(run: Run) -> Run:
    """Give the run's endpoint the next of its names."""
    return msgspec.structs.replace(run, endpoint_number=run.endpoint_number % NAMES_OF_A_RUN + 1)


def rebuild_endpoint(run: Run, endpoint: EndpointStatus, services: Services) -> Run:
    """Delete an endpoint that failed; it is created again after a pause, longer each time.

    Raises:
        FinetuneError: If it cannot be deleted just now.
    """
    now = services.now()
    audit("delete endpoint", run.endpoint_name, run.run_id, "its creation failed; it is created again")
    services.endpoints.delete(run.endpoint_name)
    failure = Failure(
        code="EndpointFailed", message=endpoint.failure or "the endpoint failed", stage=run.stage, at=now
    )
    return msgspec.structs.replace(
        run,
        rebuilds=run.rebuilds + 1,
        rebuild_at=now + backoff(run.rebuilds + 1, services.jitter()),
        last_fault=failure,
        serving=None,
        smoke_tests=None,
    )
