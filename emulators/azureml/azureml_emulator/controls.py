"""The emulator's own controls, under ``/_emulator/`` and nowhere else."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec

from azureml_emulator.core.clock import PACES, ManualClock, Pace
from azureml_emulator.core.faults import Fault
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.resources import Job
from azureml_emulator.core.routing import Evidence, Plane, Route
from azureml_emulator.core.settings import Catalogue
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.switches import changed
from azureml_emulator.training.job_progress import status_of

KINDS = ("computes", "datastores", "assets", "jobs", "endpoints", "deployments", "operations")
_SECRETS = {"datastores": ("secrets",), "endpoints": ("primary_key", "secondary_key")}


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What may be changed while the emulator runs.

    Attributes:
        pace: ``instant``, ``fast``, ``timed`` or an object of durations, for what begins from now on.
        quota: Cores per VM family, added to those already set.
        switches: Answers to what is not known of the service, see ``Switches``.
        catalogue: The month whose public registry is served.
        advance: Seconds to move the clock; only where the emulator was started with a manual one.
    """

    pace: str | Pace | None = None
    quota: dict[str, int] | None = None
    switches: dict[str, Any] | None = None
    catalogue: Catalogue | None = None
    advance: float | None = None


class Completion(msgspec.Struct, forbid_unknown_fields=True):
    """Which long-running operations to end now."""

    kind: str
    target: str


class Delay(msgspec.Struct, forbid_unknown_fields=True):
    """How far to move a job into the future."""

    seconds: float


class Copies(msgspec.Struct, forbid_unknown_fields=True):
    """Names of the copies to make of a job."""

    names: list[str]


def _refuse(message: str, status: int = 400) -> Response:
    return json_response({"error": {"code": "BadControl", "message": message}}, status)


def _calls(state: EmulatorState, request: Request) -> Response:
    operation = request.query.get("operation")
    return json_response(
        {"value": [one for one in list(state.calls) if operation in (None, one["operation"])]}
    )


def _forget_calls(state: EmulatorState, request: Request) -> Response:
    del request
    state.calls.clear()
    return Response(204)


def _fault_document(fault: Fault) -> dict[str, Any]:
    return {**msgspec.to_builtins(fault), "hits": fault.hits}


def _faults(state: EmulatorState, request: Request) -> Response:
    del request
    return json_response({"value": [_fault_document(fault) for fault in state.faults.all()]})


def _add_faults(state: EmulatorState, request: Request) -> Response:
    """One fault or a list of them."""
    try:
        added = msgspec.json.decode(request.body, type=Fault | list[Fault])
        ids = [state.faults.add(fault) for fault in (added if isinstance(added, list) else [added])]
    except (msgspec.DecodeError, re.error) as error:
        return _refuse(str(error))
    return json_response({"ids": ids}, 201)


def _fault(state: EmulatorState, request: Request) -> Response:
    for fault in state.faults.all():
        if fault.id == request["fault"]:
            return json_response(_fault_document(fault))
    return _refuse(f"there is no fault {request['fault']}; it may have been cleared", 404)


def _clear_faults(state: EmulatorState, request: Request) -> Response:
    del request
    state.faults.clear()
    return Response(204)


def _reset(state: EmulatorState, request: Request) -> Response:
    del request
    state.reset()
    return Response(204)


def _state(state: EmulatorState, request: Request) -> Response:
    """Pace, quota and catalogue: what PATCH can change, and the month that is served."""
    del request
    return json_response(
        {
            "pace": state.pace.name,
            "quota": state.quota,
            "catalogue": state.catalogue,
            "switches": state.switches,
        }
    )


def _resources(state: EmulatorState, request: Request) -> Response:
    """Resources as they are kept, without keys and secrets."""
    kinds = [kind for kind in request.query.get("kinds", "").split(",") if kind] or list(KINDS)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        return _refuse(f"kinds has {unknown[0]!r}; it is a comma-separated list of {', '.join(KINDS)}")
    wanted = request.query.get("containing", "").encode()
    with state.lock:
        found = {
            kind: [one for one in getattr(state, kind).values() if wanted in msgspec.json.encode(one)]
            for kind in kinds
        }
        document: dict[str, Any] = {kind: msgspec.to_builtins(kept) for kind, kept in found.items()}
        for job, shown in zip(found.get("jobs", []), document.get("jobs", []), strict=True):
            shown["status"] = status_of(state, job)
    for kind, secrets in _SECRETS.items():
        for shown in document.get(kind, []):
            for secret in secrets:
                shown.pop(secret)
    return json_response(document)


def _generations(state: EmulatorState, request: Request) -> Response:
    """Answers in progress, finished and aborted, by ``endpoint/deployment``."""
    del request
    return json_response(state.generations.all())


def _complete(state: EmulatorState, request: Request) -> Response:
    """Ends operations as the service's own staff might, were they to find them stuck."""
    try:
        given = msgspec.json.decode(request.body, type=Completion)
    except msgspec.DecodeError as error:
        return _refuse(str(error))
    with state.lock:
        stuck = [
            one
            for one in state.operations.values()
            if one.kind == given.kind and one.target == given.target and not one.settled
        ]
        for operation in stuck:
            operation.ends, operation.status = state.clock.now(), "Succeeded"
            state.operations.put(operation.id, operation)
    return json_response({"completed": len(stuck)})


def _delay(state: EmulatorState, request: Request) -> Response:
    """Every node starts and ends later; work that was done is done again then."""
    job = state.jobs.get(request["job"])
    if job is None:
        return _refuse(f"there is no job {request['job']}", 404)
    try:
        later = timedelta(seconds=msgspec.json.decode(request.body, type=Delay).seconds)
    except msgspec.DecodeError as error:
        return _refuse(str(error))
    with state.lock:
        for node in job.nodes:
            node.starts, node.ends, node.done = node.starts + later, node.ends + later, False
        state.jobs.put(job.name, job)
    return Response(204)


def _copy(state: EmulatorState, request: Request) -> Response:
    """Each copy has the name wherever the original has its own."""
    job = state.jobs.get(request["job"])
    if job is None:
        return _refuse(f"there is no job {request['job']}", 404)
    try:
        names = msgspec.json.decode(request.body, type=Copies).names
    except msgspec.DecodeError as error:
        return _refuse(str(error))
    original = msgspec.json.encode(job)
    with state.lock:
        for name in names:
            copy = original.replace(job.name.encode(), name.encode())
            state.jobs.put(name, msgspec.json.decode(copy, type=Job))
    return Response(204)


def _change(state: EmulatorState, request: Request) -> Response:
    try:
        change = msgspec.json.decode(request.body, type=Change)
    except msgspec.DecodeError as error:
        return _refuse(str(error))
    if change.pace is not None:
        if isinstance(change.pace, str) and change.pace not in PACES:
            return _refuse(f"pace is {change.pace!r}; it must be one of {', '.join(PACES)}")
        state.pace = PACES[change.pace] if isinstance(change.pace, str) else change.pace
    if change.quota is not None:
        state.quota.update(change.quota)
    if change.switches is not None:
        try:
            state.switches = changed(state.switches, change.switches)
        except msgspec.ValidationError as error:
            return _refuse(str(error))
    if change.catalogue is not None:
        state.catalogue = change.catalogue
    if change.advance is not None:
        if not isinstance(state.clock, ManualClock):
            return _refuse("the clock is the machine's own; start the emulator with --clock manual")
        state.clock.advance(change.advance)
    return Response(204)


def _route(operation: str, method: str, path: str, handler: Any) -> Route:
    return Route(
        f"emulator.{operation}", method, f"/_emulator/{path}", handler, Plane.CONTROL, Evidence.CHOSEN
    )


ROUTES = (
    _route("calls", "GET", "calls", _calls),
    _route("forget_calls", "DELETE", "calls", _forget_calls),
    _route("faults", "GET", "faults", _faults),
    _route("add_faults", "POST", "faults", _add_faults),
    _route("clear_faults", "DELETE", "faults", _clear_faults),
    _route("reset", "POST", "reset", _reset),
    _route("fault", "GET", "faults/{fault}", _fault),
    _route("resources", "GET", "resources", _resources),
    _route("generations", "GET", "generations", _generations),
    _route("complete_operations", "POST", "operations/complete", _complete),
    _route("delay_job", "POST", "jobs/{job}/delay", _delay),
    _route("copy_job", "POST", "jobs/{job}/copies", _copy),
    _route("state", "GET", "state", _state),
    _route("change", "PATCH", "state", _change),
)
