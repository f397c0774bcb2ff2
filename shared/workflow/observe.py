"""Observe the resources that a decision depends on, and no others: each observation is a call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from shared.domain.errors import FinetuneError, ServiceRefusedError, WrongWorkspaceError
from shared.domain.run.observation import Aspect, Observation, aspects_of
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.run.teardown import pending_teardown_steps
from shared.domain.run.upload_change import UploadStatus, upload_status
from shared.ports import Services
from shared.workflow.uploaded_dataset import find_dataset

Seen = TypeVar("Seen")


def observe(run: Run, services: Services) -> Observation:
    """See the resources of a run as they are now, and change nothing.

    Raises:
        TransientServiceError: If a service could not be reached.
        ServiceRefusedError: If a service may not be asked.
        WrongWorkspaceError: If the app's settings name another workspace than the run's, or none.
    """
    check_workspace(run, services)
    if run.stage is Stage.DELETING:
        return _observe_remaining(run, services)
    aspects = aspects_of(run)
    return Observation(
        job=services.training.job(run.job_name, run.run_id) if Aspect.JOB in aspects else None,
        compute=services.workspace.compute(run.options.compute) if Aspect.COMPUTE in aspects else None,
        endpoint=services.endpoints.endpoint(run.endpoint_name, run.run_id, base=run.has_base)
        if Aspect.ENDPOINT in aspects
        else None,
        upload=_upload(run, services) if Aspect.UPLOAD in aspects else None,
    )


def _upload(run: Run, services: Services) -> UploadStatus:
    dataset = find_dataset(run.source.files[0].path, services)
    return upload_status(run.source, dataset, timedelta(seconds=run.options.settle_seconds))


def check_workspace(run: Run, services: Services) -> None:
    """Make sure that the app looks where the run is: absence anywhere else proves nothing.

    Raises:
        WrongWorkspaceError: If the settings name another workspace, or one that does not answer for itself.
        TransientServiceError: If the workspace could not be reached.
    """
    if run.workspace_id is None:
        return
    try:
        found = services.workspace.id()
    except ServiceRefusedError as fault:
        message = f"the workspace of {run.run_id} cannot be read, nothing is touched: {fault.message}"
        raise WrongWorkspaceError(message) from fault
    if found != run.workspace_id:
        raise WrongWorkspaceError(
            f"{run.run_id} is in the workspace with id {run.workspace_id}, but AZUREML_WORKSPACE names "
            f"the one with id {found}: nothing is touched until the setting is put right"
        )


def _observe_remaining(run: Run, services: Services) -> Observation:
    """Job and endpoint of a teardown; if one cannot be observed, the other is still removed."""
    faults: list[FinetuneError] = []

    def look(at: Callable[[str, str], Seen], name: str) -> Seen | None:
        try:
            return at(name, run.run_id)
        except FinetuneError as fault:
            faults.append(fault)
            return None

    seen = Observation(
        job=look(services.training.job, run.job_name),
        endpoint=look(services.endpoints.endpoint, run.endpoint_name),
    )
    if faults and not pending_teardown_steps(seen):
        raise faults[0]
    return seen
