"""The addresses at which clients poll a long-running operation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from azureml_emulator.core import operations
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.errors import arm_error
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.resources import LongRunning
from azureml_emulator.core.routing import LOCATION, Route
from azureml_emulator.core.state import EmulatorState

NEVER = "0001-01-01T00:00:00+00:00"


def _found(state: EmulatorState, request: Request) -> LongRunning:
    operation = state.operations.get(request["operation"])
    if operation is None:
        raise arm_error(404, "NotFound", f"Operation {request['operation']} was not found.")
    return operation


def _moment(moment: datetime | None) -> str:
    return wire_time(moment) if moment else NEVER


def _workspace_status(state: EmulatorState, request: Request) -> Response:
    operation = _found(state, request)
    document: dict[str, Any] = {
        "id": f"{state.settings.location_path}/mfeOperationsStatus/{operation.id}",
        "name": operation.id,
        "startTime": wire_time(operation.started),
        "endTime": _moment(operation.ends) if operation.settled else NEVER,
        # Recorded: it stays at 0 even at the end.
        "percentComplete": 0.0,
        "status": operation.status if operation.settled else "Updating",
    }
    if operation.settled and operation.error is not None:
        document["error"] = operation.error
    return json_response(document, headers={} if operation.settled else operations.poll_headers(state))


def _compute_status(state: EmulatorState, request: Request) -> Response:
    operation = _found(state, request)
    if not operation.settled:
        return json_response({"status": "InProgress"}, headers=operations.poll_headers(state))
    document: dict[str, Any] = {"status": operation.status}
    if operation.error is not None:
        document["error"] = operation.error
    else:
        document["percentComplete"] = 100.0
    return json_response(document)


def _result(state: EmulatorState, request: Request) -> Response:
    """202 until the end, then 204."""
    operation = _found(state, request)
    if operation.settled:
        return Response(204)
    location = {
        "Location": operations.result_url(state, request, operation),
        **operations.poll_headers(state),
    }
    return Response(202, headers=location)


ROUTES = (
    Route("operations.status", "GET", f"{LOCATION}/mfeOperationsStatus/{{operation}}", _workspace_status),
    Route(
        "operations.compute_status",
        "GET",
        f"{LOCATION}/computeOperationsStatus/{{operation}}",
        _compute_status,
        query=("service",),
    ),
    Route(
        "operations.result",
        "GET",
        f"{LOCATION}/mfeOperationResults/{{operation}}",
        _result,
    ),
)
