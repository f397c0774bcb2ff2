"""Services that misbehave: on any call, and in what goes on behind the calls."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from azureml_emulator import FaultHandle

from chaos.arena import Arena, Case, Verdict
from chaos.wire import Strike, Trouble
from chaos.world import Upload, World
from shared.domain.stages import Stage

SPREAD = 32
"""Calls from one hit of a transient fault to the next: more than any one step makes, or none would succeed.

The faults take turns: between them they hit each call of a run once.
"""

TRANSIENT: dict[str, dict[str, Any]] = {
    "408": {"trouble": Trouble.STATUS, "status": 408},
    "429 with Retry-After": {"trouble": Trouble.STATUS, "status": 429, "retry_after": 120},
    "500": {"trouble": Trouble.STATUS, "status": 500},
    "503": {"trouble": Trouble.STATUS, "status": 503},
    "connection reset": {"trouble": Trouble.RESET},
    "answer lost": {"trouble": Trouble.LOST},
    "timeout": {"trouble": Trouble.TIMEOUT},
    "slow body": {"trouble": Trouble.SLOW},
}

_DELETED = frozenset({Stage.DELETED})
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


class Mishap(NamedTuple):
    """Something that goes wrong for good, or for a while.

    Attributes:
        fault: As in the table.
        end: Where the run may end.
        emulator: Faults of the emulator; `{run}` and `{compute}` stand for the run's own.
        strikes: What happens on the wire.
    """

    fault: str
    end: frozenset[Stage]
    emulator: tuple[dict[str, Any], ...] = ()
    strikes: tuple[Strike, ...] = ()


def _operation(kind: str, target: str, **outcome: Any) -> dict[str, Any]:
    return {"match": {"operation": kind, "target": target}, "operation": outcome}


def _refusal(path: str, times: int, body: str = _FORBIDDEN) -> Strike:
    return Strike(Trouble.STATUS, path=path, times=times, status=403, body=body)


def _on_call(method: str, path: str, status: int, body: Any, count: int | None) -> dict[str, Any]:
    return {"match": {"method": method, "path": path}, "status": status, "body": body, "count": count}


_ENDPOINT = "/onlineEndpoints/{run}$"
_DEPLOYMENT = "/onlineEndpoints/{run}/deployments/main$"
_BROKEN = {"message": "InternalServerError: something broke."}
_OUT_OF_MEMORY = {"child": "chat_completion_finetune", "message": "CUDA out of memory."}
_NO_TEMPLATE = {"status": 500, "reason": "no template"}


def _operations(fault: str, **outcome: Any) -> tuple[Mishap, ...]:
    """The same outcome for each long-running operation that brings something up."""
    begun = {
        "compute.put": "{compute}",
        "endpoint.create": "{run}",
        "deployment.create": "{run}/main",
        "endpoint.update": "{run}",
    }
    return tuple(
        Mishap(fault, _FAILED, (_operation(kind, target, **outcome),)) for kind, target in begun.items()
    )


def _refused(fault: str, method: str, path: str, status: int, body: Any) -> Mishap:
    return Mishap(fault, _FAILED, (_on_call(method, path, status, body, None),))


MISHAPS = (
    *_operations("operation fails", status="Failed", error=_BROKEN),
    *_operations("operation canceled", status="Canceled"),
    *_operations("operation never ends", status="Never"),
    Mishap(
        "delete fails at first",
        _DELETED,
        (_operation("endpoint.delete", "{run}", status="Failed", error=_BROKEN),),
    ),
    Mishap("delete fails at first", _DELETED, (_on_call("DELETE", _ENDPOINT, 500, _BROKEN, 9),)),
    Mishap("delete refused at first", _DELETED, (_on_call("DELETE", _ENDPOINT, 403, _CONFLICT, 9),)),
    Mishap("name still being deleted", _DELETED, (_on_call("PUT", _ENDPOINT, 409, _CONFLICT, 6),)),
    Mishap("job fails", _FAILED, ({"match": {"target": "{run}"}, "job": _OUT_OF_MEMORY},)),
    Mishap("403 from the registry", _FAILED, strikes=(_refusal("/registries/azureml/", 99),)),
    _refused("403 for good", "PUT", _ENDPOINT, 403, _CONFLICT),
    _refused("403 for good", "PUT", "/jobs/{run}$", 403, _CONFLICT),
    _refused("quota refused", "PUT", _DEPLOYMENT, 400, _QUOTA),
    _refused("quota refused", "PUT", "/computes/{compute}$", 400, _QUOTA),
    Mishap(
        "container answers 500",
        _FAILED,
        ({"match": {"target": "{run}/main"}, "count": None, "container": _NO_TEMPLATE},),
    ),
)


def transients(arena: Arena) -> Iterator[Case]:
    """Each call of a run meets one transient fault, and each fault calls of every stage."""
    for turn, (name, strike) in enumerate(TRANSIENT.items()):
        for offset in range(turn, SPREAD, len(TRANSIENT)):
            yield Case(f"{name} at calls in turn", partial(_transient, arena, strike, offset))


def mishaps(arena: Arena) -> Iterator[Case]:
    """Everything that goes wrong behind the calls."""
    for mishap in MISHAPS:
        yield Case(mishap.fault, partial(_mishap, arena, mishap))


def set_faults(world: World, mishap: Mishap, upload: Upload) -> list[FaultHandle]:
    """Tell the emulator what is to go wrong for one run."""
    return [
        world.emulator.add_fault(**_named(fault, upload.run_id, upload.dataset)) for fault in mishap.emulator
    ]


def _transient(arena: Arena, strike: dict[str, Any], offset: int) -> Verdict:
    plan = [Strike(call=number, **strike) for number in range(offset, 300, SPREAD)]
    host = arena.host(iter([plan]))
    return arena.judge(host, host.carry(), _DELETED)


def _mishap(arena: Arena, mishap: Mishap) -> Verdict:
    host = arena.host(iter([list(mishap.strikes)]), warm=True)
    faults = set_faults(arena.world, mishap, host.upload)
    return arena.judge(host, host.carry(), mishap.end, faults=faults)


def _named(value: Any, run_id: str, dataset: str) -> Any:
    if isinstance(value, str):
        return value.replace("{run}", run_id).replace("{compute}", f"c-{dataset}")
    if isinstance(value, dict):
        return {key: _named(one, run_id, dataset) for key, one in value.items()}
    return value
