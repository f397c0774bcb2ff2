"""Services that misbehave: on any call, and in what goes on behind the calls."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from azureml_emulator import FaultHandle

from chaos.harness import Case, Harness, Verdict
from chaos.wire import FaultKind, Injection
from chaos.world import Upload, World
from shared.domain.run.stages import Stage

SPREAD = 32
"""Calls from one hit of a transient fault to the next: more than any one step makes, or none would succeed.

The faults take turns: between them they hit each call of a run once.
"""

TRANSIENT: dict[str, dict[str, Any]] = {
    "408": {"fault": FaultKind.STATUS, "status": 408},
    "429 with Retry-After": {"fault": FaultKind.STATUS, "status": 429, "retry_after": 120},
    "500": {"fault": FaultKind.STATUS, "status": 500},
    "503": {"fault": FaultKind.STATUS, "status": 503},
    "connection reset": {"fault": FaultKind.RESET},
    "answer lost": {"fault": FaultKind.LOST},
    "timeout": {"fault": FaultKind.TIMEOUT},
    "slow body": {"fault": FaultKind.SLOW},
}

_STOPPED = frozenset({Stage.STOPPED})
_FAILED = frozenset({Stage.FAILED})
_QUOTA = {
    "error": {
        "code": "BadRequest",
        "message": "The request is invalid.",
        "details": [
            {"code": "OutOfQuota", "message": "Not enough quota available for Standard_NC24ads_A100_v4."}
        ],
    },
}
_CONFLICT = {"error": {"code": "Conflict", "message": "Resource name is being deleted. Try again later."}}
_FORBIDDEN = '{"error": {"code": "AuthorizationFailed", "message": "The client may not do that."}}'


class ServiceFault(NamedTuple):
    """Something that goes wrong for good, or for a while.

    Attributes:
        fault: As in the table.
        end: Where the run may end.
        emulator: Faults of the emulator; `{run}` and `{compute}` stand for the run's own.
        injections: What happens on the wire.
    """

    fault: str
    end: frozenset[Stage]
    emulator: tuple[dict[str, Any], ...] = ()
    injections: tuple[Injection, ...] = ()


def _operation(kind: str, target: str, **outcome: Any) -> dict[str, Any]:
    return {"match": {"operation": kind, "target": target}, "operation": outcome}


def _refusal(path: str, times: int, body: str = _FORBIDDEN) -> Injection:
    return Injection(FaultKind.STATUS, path=path, times=times, status=403, body=body)


def _on_call(method: str, path: str, status: int, body: Any, count: int | None) -> dict[str, Any]:
    return {"match": {"method": method, "path": path}, "status": status, "body": body, "count": count}


_ENDPOINT = "/onlineEndpoints/{run}$"
_DEPLOYMENT = "/onlineEndpoints/{run}/deployments/main$"
_BROKEN = {"message": "InternalServerError: something broke."}
_OUT_OF_MEMORY = {"child": "chat_completion_finetune", "message": "CUDA out of memory."}
_NO_TEMPLATE = {"status": 500, "reason": "no template"}


def _operations(fault: str, **outcome: Any) -> tuple[ServiceFault, ...]:
    """The same outcome for each long-running operation that brings something up."""
    begun = {
        "compute.put": "{compute}",
        "endpoint.create": "{run}",
        "deployment.create": "{run}/main",
        "endpoint.update": "{run}",
    }
    return tuple(
        ServiceFault(
            fault, _FAILED if kind == "compute.put" else _STOPPED, (_operation(kind, target, **outcome),)
        )
        for kind, target in begun.items()
    )


def _refused(fault: str, method: str, path: str, status: int, body: Any) -> ServiceFault:
    end = _STOPPED if "onlineEndpoints" in path else _FAILED
    return ServiceFault(fault, end, (_on_call(method, path, status, body, None),))


_PASSING = (400, 401, 403, 404, 409, 424)
_AT_STAKE = (
    Stage.VALIDATED,
    Stage.TRAINING,
    Stage.TRAINED,
    Stage.DEPLOYING,
    Stage.LIVE,
    Stage.DELETING,
)

SERVICE_FAULTS = (
    *_operations("operation fails", status="Failed", error=_BROKEN),
    *_operations("operation canceled", status="Canceled"),
    *_operations("operation never ends", status="Never"),
    ServiceFault(
        "delete fails at first",
        _STOPPED,
        (_operation("endpoint.delete", "{run}", status="Failed", error=_BROKEN),),
    ),
    ServiceFault("delete fails at first", _STOPPED, (_on_call("DELETE", _ENDPOINT, 500, _BROKEN, 9),)),
    ServiceFault("delete refused at first", _STOPPED, (_on_call("DELETE", _ENDPOINT, 403, _CONFLICT, 9),)),
    ServiceFault("name still being deleted", _STOPPED, (_on_call("PUT", _ENDPOINT, 409, _CONFLICT, 6),)),
    ServiceFault("job fails", _FAILED, ({"match": {"target": "{run}"}, "job": _OUT_OF_MEMORY},)),
    ServiceFault("403 from the registry", _FAILED, injections=(_refusal("/registries/azureml/", 99),)),
    _refused("403 for good", "PUT", _ENDPOINT, 403, _CONFLICT),
    _refused("403 for good", "PUT", "/jobs/{run}$", 403, _CONFLICT),
    _refused("quota refused", "PUT", _DEPLOYMENT, 400, _QUOTA),
    _refused("quota refused", "PUT", "/computes/{compute}$", 400, _QUOTA),
    ServiceFault(
        "container answers 500",
        _STOPPED,
        ({"match": {"target": "{run}/main"}, "count": None, "container": _NO_TEMPLATE},),
    ),
)


def transients(harness: Harness) -> Iterator[Case]:
    """Each call of a run meets one transient fault, and each fault calls of every stage."""
    for turn, (name, injection) in enumerate(TRANSIENT.items()):
        for offset in range(turn, SPREAD, len(TRANSIENT)):
            yield Case(f"{name} at calls in turn", partial(_transient, harness, injection, offset))


def service_faults(harness: Harness) -> Iterator[Case]:
    """Everything that goes wrong behind the calls."""
    for service_fault in SERVICE_FAULTS:
        yield Case(service_fault.fault, partial(_service_fault, harness, service_fault))


def refusals(harness: Harness) -> Iterator[Case]:
    """Each status that passes with time, at the first calls to Azure ML in each stage that has some."""
    for stage in _AT_STAKE:
        for status in _PASSING:
            refusal = Injection(
                FaultKind.STATUS, path="/subscriptions/", stage=stage, status=status, times=2, body=_FORBIDDEN
            )
            yield Case(f"{status} for a while", partial(_refused_for_a_while, harness, refusal))


def _refused_for_a_while(harness: Harness, refusal: Injection) -> Verdict:
    host = harness.host(iter([[refusal]]), warm=True)
    return harness.assess(host, host.carry(), _STOPPED)


def set_faults(world: World, service_fault: ServiceFault, upload: Upload) -> list[FaultHandle]:
    """Tell the emulator what is to go wrong for one run."""
    return [world.emulator.add_fault(**_named(fault, upload)) for fault in service_fault.emulator]


def _transient(harness: Harness, injection: dict[str, Any], offset: int) -> Verdict:
    plan = [Injection(call=number, **injection) for number in range(offset, 300, SPREAD)]
    host = harness.host(iter([plan]))
    return harness.assess(host, host.carry(), _STOPPED)


def _service_fault(harness: Harness, service_fault: ServiceFault) -> Verdict:
    host = harness.host(iter([list(service_fault.injections)]), warm=True)
    faults = set_faults(harness.world, service_fault, host.upload)
    return harness.assess(host, host.carry(), service_fault.end, faults=faults)


def _named(value: Any, upload: Upload) -> Any:
    if isinstance(value, str):
        return value.replace("{run}", upload.run_id).replace("{compute}", upload.cluster)
    if isinstance(value, dict):
        return {key: _named(one, upload) for key, one in value.items()}
    return value
