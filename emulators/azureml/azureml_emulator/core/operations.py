"""Long-running operations: their headers, their status documents, and what happens when they end.

An operation is a start, an end and an outcome. There is no timer: at each request, the operations that
have ended by then are settled first, in the order of their ends.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from azureml_emulator.core.http import Request
from azureml_emulator.core.resources import LongRunning
from azureml_emulator.core.state import EmulatorState


def begin(state: EmulatorState, kind: str, prefix: str, target: str, seconds: float) -> LongRunning:
    """Starts an operation, which a fault may make end otherwise, later or never.

    Args:
        state: The emulated subscription.
        kind: What it does, a key of ``cloud.completions``.
        prefix: How its id begins: ``oeidp`` for endpoints, ``odidp`` for deployments, nothing for computes.
        target: The name of what it is about.
        seconds: How long it takes.
    """
    now = state.clock.now()
    guid = str(uuid.uuid4())
    outcome = state.faults.outcome_of(kind, target)
    if outcome.get("seconds") is not None:
        seconds = float(outcome["seconds"])
    status = outcome.get("status", "Succeeded")
    operation = LongRunning(
        id=f"{prefix}:{state.settings.workspace_id}:{guid}" if prefix else guid,
        kind=kind,
        target=target,
        started=now,
        ends=None if status == "Never" else now + timedelta(seconds=seconds),
        status=status,
        error=outcome.get("error"),
    )
    state.operations.put(operation.id, operation)
    state.unsettled.add(operation.id)
    return operation


def fail(state: EmulatorState, operation: LongRunning, error: dict[str, Any]) -> None:
    """Decides, before its end, that an operation will fail."""
    operation.status = "Failed"
    operation.error = error
    state.operations.put(operation.id, operation)


def state_of(state: EmulatorState, operation_id: str, while_running: str) -> str:
    """The provisioning state that an operation gives to what it works on."""
    operation = state.operations.get(operation_id)
    if operation is None:
        return "Succeeded"
    return while_running if not operation.settled else operation.status


def settle(state: EmulatorState) -> None:
    """Ends the operations whose time has come."""
    if not state.unsettled:
        return
    now = state.clock.now()
    with state.lock:
        going = [found for one in state.unsettled if (found := state.operations.get(one)) is not None]
        due = [operation for operation in going if operation.ends is not None and operation.ends <= now]
        for operation in sorted(due, key=lambda one: one.ends or now):
            operation.settled = True
            state.unsettled.discard(operation.id)
            state.operations.put(operation.id, operation)
            state.completions[operation.kind](state, operation)


def status_url(state: EmulatorState, request: Request, operation: LongRunning) -> str:
    """Where the operation's status document is."""
    family = "compute" if operation.kind.startswith("compute.") else "mfe"
    suffix = "&service=new" if family == "compute" else ""
    return (
        f"{request.base}{state.settings.location_path}/{family}OperationsStatus/{operation.id}"
        f"?api-version={request.query.get('api-version', '')}{suffix}"
    )


def result_url(state: EmulatorState, request: Request, operation: LongRunning) -> str:
    """Where a client looks for the result of a delete or an action."""
    return (
        f"{request.base}{state.settings.location_path}/mfeOperationResults/{operation.id}"
        f"?api-version={request.query.get('api-version', '')}"
    )


def poll_headers(state: EmulatorState) -> dict[str, str]:
    """Headers that tell a polling client how long to wait; none at the pace ``timed``, as recorded."""
    wait = state.pace.poll_milliseconds
    return {} if wait is None else {"x-ms-retry-after-ms": str(wait)}
