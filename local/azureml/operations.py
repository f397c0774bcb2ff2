"""Long-running operations: their headers, their status documents, and what happens when they end.

An operation is a start, an end and an outcome. Nothing waits for it: whenever a request comes in, those whose
time has come are settled first, in the order of their ends.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from local.azureml.clock import wire_time
from local.azureml.errors import arm_error
from local.azureml.resources import LongRunning
from local.azureml.wire import LOCATION, Answer, Call, Evidence, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

Completion = Callable[["Cloud", LongRunning], None]

NEVER = "0001-01-01T00:00:00+00:00"


def begin(cloud: Cloud, kind: str, prefix: str, target: str, seconds: float) -> LongRunning:
    """Starts an operation, which a fault may make end otherwise, later or never.

    Args:
        cloud: The emulated subscription.
        kind: What it does, a key of ``cloud.completions``.
        prefix: How its id begins: ``oeidp`` for endpoints, ``odidp`` for deployments, nothing for computes.
        target: The name of what it is about.
        seconds: How long it takes.
    """
    now = cloud.clock.now()
    guid = str(uuid.uuid4())
    outcome = cloud.faults.outcome_of(kind, target)
    if outcome.get("seconds") is not None:
        seconds = float(outcome["seconds"])
    status = outcome.get("status", "Succeeded")
    operation = LongRunning(
        id=f"{prefix}:{cloud.settings.workspace_id}:{guid}" if prefix else guid,
        kind=kind,
        target=target,
        started=now,
        ends=None if status == "Never" else now + timedelta(seconds=seconds),
        status=status,
        error=outcome.get("error"),
    )
    cloud.operations.put(operation.id, operation)
    cloud.unsettled.add(operation.id)
    return operation


def fail(cloud: Cloud, operation: LongRunning, error: dict[str, Any]) -> None:
    """Decides, before its end, that an operation will fail."""
    operation.status = "Failed"
    operation.error = error
    cloud.operations.put(operation.id, operation)


def state_of(cloud: Cloud, operation_id: str, while_running: str) -> str:
    """The provisioning state that an operation gives to what it works on."""
    operation = cloud.operations.get(operation_id)
    if operation is None:
        return "Succeeded"
    return while_running if not operation.settled else operation.status


def settle(cloud: Cloud) -> None:
    """Ends the operations whose time has come."""
    if not cloud.unsettled:
        return
    now = cloud.clock.now()
    with cloud.lock:
        going = [found for one in cloud.unsettled if (found := cloud.operations.get(one)) is not None]
        due = [operation for operation in going if operation.ends is not None and operation.ends <= now]
        for operation in sorted(due, key=lambda one: one.ends or now):
            operation.settled = True
            cloud.unsettled.discard(operation.id)
            cloud.operations.put(operation.id, operation)
            cloud.completions[operation.kind](cloud, operation)


def status_url(cloud: Cloud, call: Call, operation: LongRunning) -> str:
    """Where the operation's status document is."""
    family = "compute" if operation.kind.startswith("compute.") else "mfe"
    suffix = "&service=new" if family == "compute" else ""
    return (
        f"{call.base}{cloud.settings.location_path}/{family}OperationsStatus/{operation.id}"
        f"?api-version={call.query.get('api-version', '')}{suffix}"
    )


def result_url(cloud: Cloud, call: Call, operation: LongRunning) -> str:
    """Where a client looks for the result of a delete or an action."""
    return (
        f"{call.base}{cloud.settings.location_path}/mfeOperationResults/{operation.id}"
        f"?api-version={call.query.get('api-version', '')}"
    )


def poll_headers(cloud: Cloud) -> dict[str, str]:
    """How long a polling client is asked to wait; nothing at the recorded pace, as recorded."""
    wait = cloud.pace.poll_milliseconds
    return {} if wait is None else {"x-ms-retry-after-ms": str(wait)}


def _found(cloud: Cloud, call: Call) -> LongRunning:
    operation = cloud.operations.get(call["operation"])
    if operation is None:
        raise arm_error(404, "NotFound", f"Operation {call['operation']} was not found.")
    return operation


def _moment(moment: datetime | None) -> str:
    return wire_time(moment) if moment else NEVER


def _workspace_status(cloud: Cloud, call: Call) -> Answer:
    operation = _found(cloud, call)
    document: dict[str, Any] = {
        "id": f"{cloud.settings.location_path}/mfeOperationsStatus/{operation.id}",
        "name": operation.id,
        "startTime": wire_time(operation.started),
        "endTime": _moment(operation.ends) if operation.settled else NEVER,
        # Recorded: it stays at nought even at the end.
        "percentComplete": 0.0,
        "status": operation.status if operation.settled else "Updating",
    }
    if operation.settled and operation.error is not None:
        document["error"] = operation.error
    return json_answer(document, headers={} if operation.settled else poll_headers(cloud))


def _compute_status(cloud: Cloud, call: Call) -> Answer:
    operation = _found(cloud, call)
    if not operation.settled:
        return json_answer({"status": "InProgress"}, headers=poll_headers(cloud))
    document: dict[str, Any] = {"status": operation.status}
    if operation.error is not None:
        document["error"] = operation.error
    else:
        document["percentComplete"] = 100.0
    return json_answer(document)


def _result(cloud: Cloud, call: Call) -> Answer:
    """202 until the end, then 204."""
    operation = _found(cloud, call)
    if operation.settled:
        return Answer(204)
    location = {"Location": result_url(cloud, call, operation), **poll_headers(cloud)}
    return Answer(202, headers=location)


ROUTES = (
    Route("operations.status", "GET", f"{LOCATION}/mfeOperationsStatus/{{operation}}", _workspace_status),
    Route(
        "operations.compute_status",
        "GET",
        f"{LOCATION}/computeOperationsStatus/{{operation}}",
        _compute_status,
    ),
    Route(
        "operations.result",
        "GET",
        f"{LOCATION}/mfeOperationResults/{{operation}}",
        _result,
        evidence=Evidence.DRIVEN,
    ),
)
