"""The emulator's own controls, under ``/_emulator/`` and nowhere else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from local.azureml.clock import PACES, ManualClock
from local.azureml.faults import Fault
from local.azureml.wire import Answer, Call, Evidence, Plane, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What may be changed while the emulator runs.

    Attributes:
        pace: ``instant``, ``fast`` or ``timed``, for what begins from now on.
        quota: Cores per VM family, added to those already set.
        advance: Seconds to move the clock; only where the emulator was started with a manual one.
    """

    pace: str | None = None
    quota: dict[str, int] | None = None
    advance: float | None = None


def _refuse(message: str) -> Answer:
    return json_answer({"error": {"code": "BadControl", "message": message}}, 400)


def _calls(cloud: Cloud, call: Call) -> Answer:
    operation = call.query.get("operation")
    return json_answer({"value": [one for one in list(cloud.calls) if operation in (None, one["operation"])]})


def _forget_calls(cloud: Cloud, call: Call) -> Answer:
    del call
    cloud.calls.clear()
    return Answer(204)


def _faults(cloud: Cloud, call: Call) -> Answer:
    del call
    return json_answer({"value": [msgspec.to_builtins(fault) for fault in cloud.faults.all()]})


def _add_faults(cloud: Cloud, call: Call) -> Answer:
    """One fault or a list of them."""
    try:
        added = msgspec.json.decode(call.body, type=Fault | list[Fault])
        for fault in added if isinstance(added, list) else [added]:
            cloud.faults.add(fault)
    except (msgspec.DecodeError, re.error) as error:
        return _refuse(str(error))
    return json_answer({"faults": len(cloud.faults.all())}, 201)


def _clear_faults(cloud: Cloud, call: Call) -> Answer:
    del call
    cloud.faults.clear()
    return Answer(204)


def _reset(cloud: Cloud, call: Call) -> Answer:
    del call
    cloud.reset()
    return Answer(204)


def _state(cloud: Cloud, call: Call) -> Answer:
    """Everything there is, as it is kept; keys and secrets left out."""
    del call
    with cloud.lock:
        document: dict[str, Any] = {
            name: msgspec.to_builtins(getattr(cloud, name).values())
            for name in ("computes", "datastores", "assets", "jobs", "endpoints", "deployments", "operations")
        }
    for datastore in document["datastores"]:
        datastore.pop("secrets")
    for endpoint in document["endpoints"]:
        endpoint.pop("primary_key")
        endpoint.pop("secondary_key")
    document.update(pace=cloud.pace.name, quota=cloud.quota, catalogue=cloud.settings.catalogue)
    return json_answer(document)


def _change(cloud: Cloud, call: Call) -> Answer:
    try:
        change = msgspec.json.decode(call.body, type=Change)
    except msgspec.DecodeError as error:
        return _refuse(str(error))
    if change.pace is not None:
        if change.pace not in PACES:
            return _refuse(f"pace is one of {', '.join(PACES)}")
        cloud.pace = PACES[change.pace]
    if change.quota is not None:
        cloud.quota.update(change.quota)
    if change.advance is not None:
        if not isinstance(cloud.clock, ManualClock):
            return _refuse("the clock is the machine's own; start the emulator with --clock manual")
        cloud.clock.advance(change.advance)
    return Answer(204)


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
    _route("state", "GET", "state", _state),
    _route("change", "PATCH", "state", _change),
)
