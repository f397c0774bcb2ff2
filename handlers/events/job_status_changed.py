"""Azure ML says that a job has come to another status: its run need not wait for the timer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.run.names import is_run_id
from shared.logs import get_logger

RUN_STATUS_CHANGED = "Microsoft.MachineLearningServices.RunStatusChanged"
"""Source: "Azure Machine Learning as an Event Grid source"; `data.runId` is the job's name."""

_log = get_logger(__name__)


def handle_job_status_changed(event_type: str | None, data: Any) -> list[str]:
    """Name the run to advance: the job of a run has the run's name.

    Events of other jobs and of a pipeline's steps name no run. What an event says of a status is not
    believed: the run looks for itself.
    """
    if event_type != RUN_STATUS_CHANGED or not isinstance(data, Mapping):
        return []
    job = data.get("runId")
    if not isinstance(job, str) or not is_run_id(job):
        return []
    _log.info("job changed its status", extra={"run_id": job, "status": str(data.get("runStatus"))[:64]})
    return [job]
