"""Event Grid events: posts a job's status changes to a webhook.

The event is ``Microsoft.MachineLearningServices.RunStatusChanged`` in the Event Grid schema ("Azure Machine
Learning as an Event Grid source"). Only this part looks at jobs without a request: an event cannot wait for
a client to poll.
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.resources import Job
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.training.job_progress import advance, status_of

LOOK_EVERY_SECONDS = 0.1
ATTEMPTS = 3
_log = logging.getLogger(__name__)


def status_event(state: EmulatorState, job: Job, status: str) -> dict[str, Any]:
    """The event that says which status a job has come to."""
    given = job.properties
    return {
        "id": str(uuid.uuid4()),
        "topic": state.settings.workspace_arm_id,
        "subject": f"experiments/{job.experiment_id}/runs/{job.name}",
        "eventType": "Microsoft.MachineLearningServices.RunStatusChanged",
        "eventTime": wire_time(state.clock.now()),
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


class EventPublisher:
    """Posts events from a thread of its own until it is stopped."""

    def __init__(self, state: EmulatorState, url: str) -> None:
        self._state = state
        self._url = url
        import httpx  # only an emulator that posts events needs it

        self._http = httpx.Client(timeout=10, trust_env=False)
        self._errors = httpx.HTTPError
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
        self._http.close()

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            for job in self._state.jobs.values():
                advance(self._state, job)
                status = status_of(self._state, job)
                if status != job.told and self._post(status_event(self._state, job, status)):
                    with self._state.lock:
                        job.told = status
                        self._state.jobs.put(job.name, job)

    def _post(self, event: dict[str, Any]) -> bool:
        """Whether the webhook accepted the event; a webhook that is down gets it again at the next look."""
        headers = {"aeg-event-type": "Notification"}
        for _ in range(ATTEMPTS):
            try:
                response = self._http.post(self._url, json=[event], headers=headers)
                if response.is_success:
                    return True
                reason = f"HTTP {response.status_code}"
            except self._errors as error:
                reason = str(error)
            _log.warning("the webhook did not accept an event", extra={"reason": reason})
            if self._over.wait(LOOK_EVERY_SECONDS):
                return False
        return False
