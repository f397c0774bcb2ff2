"""Event Grid events: tells a webhook when a job's status changes.

The event is ``Microsoft.MachineLearningServices.RunStatusChanged`` in the Event Grid schema ("Azure Machine
Learning as an Event Grid source"). This is the one part that looks at jobs unasked: an event cannot wait for
a client to poll.
"""

from __future__ import annotations

import logging
import threading
import uuid
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import msgspec

from local.azureml.clock import wire_time
from local.azureml.job_progress import advance, status_of

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud
    from local.azureml.resources import Job

LOOK_EVERY_SECONDS = 0.1
ATTEMPTS = 3
_log = logging.getLogger(__name__)


def status_event(cloud: Cloud, job: Job, status: str) -> dict[str, Any]:
    """The event that says which status a job has come to."""
    given = job.properties
    return {
        "id": str(uuid.uuid4()),
        "topic": cloud.settings.workspace_arm_id,
        "subject": f"experiments/{job.experiment_id}/runs/{job.name}",
        "eventType": "Microsoft.MachineLearningServices.RunStatusChanged",
        "eventTime": wire_time(cloud.clock.now()),
        "data": {
            "experimentId": job.experiment_id,
            "experimentName": given.get("experimentName") or "Default",
            "runId": job.name,
            "runType": "azureml.PipelineRun" if given.get("jobType") == "Pipeline" else "azureml.scriptrun",
            "runTags": given.get("tags") or {},
            "runProperties": given.get("properties") or {},
            "runStatus": status,
        },
        "dataVersion": "1.0",
        "metadataVersion": "1",
    }


class Announcer:
    """Posts events from a thread of its own until it is stopped."""

    def __init__(self, cloud: Cloud, url: str) -> None:
        self._cloud = cloud
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="azureml-events", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; an event that is on its way is waited for."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            for job in self._cloud.jobs.values():
                advance(self._cloud, job)
                status = status_of(self._cloud, job)
                if status != job.told and self._post(status_event(self._cloud, job, status)):
                    with self._cloud.lock:
                        job.told = status
                        self._cloud.jobs.put(job.name, job)

    def _post(self, event: dict[str, Any]) -> bool:
        """Whether someone took it; a webhook that is down gets it again at the next look."""
        headers = {"Content-Type": "application/json", "aeg-event-type": "Notification"}
        request = Request(self._url, msgspec.json.encode([event]), headers)  # noqa: S310  # the user's own URL
        for _ in range(ATTEMPTS):
            try:
                with urlopen(request, timeout=10):  # noqa: S310  # nosec B310
                    return True
            except (OSError, HTTPException) as error:
                _log.warning("event was not taken", extra={"reason": str(error)})
                if self._over.wait(LOOK_EVERY_SECONDS):
                    return False
        return False
