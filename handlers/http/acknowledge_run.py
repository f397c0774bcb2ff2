"""`POST /api/runs/{id}/acknowledge`: take note of how a run ended, which then needs attention no longer."""

from __future__ import annotations

import msgspec

from handlers.http.responses import Response, json_response
from handlers.http.run_views import run_view
from shared.domain.errors import RequestError
from shared.domain.run.run import Run
from shared.ports import Services
from shared.workflow.save_progress import update_run


def acknowledge_run(run_id: str, services: Services) -> Response:
    """Note on the record that somebody knows how the run ended; doing so twice is doing so once.

    What may still cost money, as a job that is found after its run's end, goes on asking for attention.

    Args:
        run_id: The run.
        services: The ports.

    Raises:
        UnknownRunError: If there is no such run.
        RequestError: 409 unless it has ended or stopped.
    """

    def acknowledge(run: Run) -> Run:
        if not run.stage.at_rest:
            message = f"{run_id} has not ended: it is {run.stage}; retry or cancel it"
            raise RequestError(409, message, code="NotEnded")
        if run.acknowledged:
            return run
        # The clock of the worker that ended the run may be ahead of this one's.
        noted = max(services.now(), run.history[-1].at)
        requests = msgspec.structs.replace(run.requests, acknowledged_at=noted)
        return msgspec.structs.replace(run, requests=requests)

    return json_response(200, run_view(update_run(services.runs, run_id, acknowledge), services.now()))
