"""Handle Azure ML's event that a job's status changed: advance its run without waiting for the timer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.run.names import run_id_of
from shared.logs import get_logger

RUN_STATUS_CHANGED = "Microsoft.MachineLearningServices.RunStatusChanged"
"""Source: "Azure Machine Learning as an Event Grid source"; `data.runId` is the job's name."""

_log = get_logger(__name__)


def handle_job_status_changed(event_type: str | None, data: Any) -> list[str]:
    """Name the run to advance: the job of a run has one of the run's names.

    Events of other jobs and of a pipeline's steps name no run. What an event says of a status is not
    believed: the run looks for itself.
    """
    if event_type != RUN_STATUS_CHANGED or not isinstance(data, Mapping):
        return []
    job = data.get("runId")
    run_id = run_id_of(job) if isinstance(job, str) else None
    if run_id is None:
        return []
    _log.info("job changed its status", extra={"run_id": run_id, "status": str(data.get("runStatus"))[:64]})
    return [run_id]
