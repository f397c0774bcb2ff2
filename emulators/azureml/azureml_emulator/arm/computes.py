"""Compute clusters (AmlCompute)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from azureml_emulator.core import operations
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.errors import arm_error
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.lists import PAGING, page
from azureml_emulator.core.request_bodies import ComputeBody
from azureml_emulator.core.resources import Compute, LongRunning
from azureml_emulator.core.routing import WORKSPACE, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.vm_sizes import SIZES, limit

# Client and portal agree on this rule; the service's wording is not established.
_NAME = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])")
_NODE_COUNTS = ("preparing", "running", "idle", "unusable", "leaving", "preempted")


def _missing() -> Response:
    """Recorded: 404 without any body."""
    return Response(404)


def render(state: EmulatorState, compute: Compute) -> dict[str, Any]:
    """The cluster as GET shows it."""
    pending = state.operations.get(compute.operation)
    going = pending is not None and pending.kind == "compute.delete"
    provisioning = operations.state_of(state, compute.operation, "Deleting" if going else "Creating")
    steady = provisioning == "Succeeded"
    inner = {
        "subnet": None,
        "currentNodeCount": 0 if steady else None,
        "targetNodeCount": 0 if steady else None,
        "nodeStateCounts": {f"{kind}NodeCount": 0 for kind in _NODE_COUNTS} if steady else None,
        "allocationState": "Steady" if steady else None,
        "errors": None,
        "virtualMachineImage": None,
        "isolatedNetwork": False,
        "enableBatchPrivateLink": False,
        "vmPriority": "Dedicated",
        "osType": "Linux",
        "remoteLoginPortPublicAccess": "NotSpecified",
        "enableNodePublicIp": True,
        **compute.properties["properties"],
    }
    if steady:
        inner.update(allocationStateTransitionTime=wire_time(compute.modified), propertyBag={})
    operation = state.operations.get(compute.operation)
    failed = provisioning == "Failed" and operation is not None and operation.error is not None
    properties: dict[str, Any] = {
        "createdOn": wire_time(compute.created),
        "modifiedOn": wire_time(compute.modified),
        "disableLocalAuth": compute.properties.get("disableLocalAuth", False),
        "description": compute.properties.get("description"),
        "resourceId": None,
        "computeType": compute.properties.get("computeType", "AmlCompute"),
        "provisioningState": provisioning,
        "provisioningErrors": [{"error": operation.error}] if failed and operation else None,
        "provisioningWarnings": {} if steady else None,
        "isAttachedCompute": False,
        "properties": inner,
    }
    if steady:
        properties["computeLocation"] = compute.location
    return {
        "id": f"{state.settings.workspace_arm_id}/computes/{compute.name}",
        "name": compute.name,
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": compute.location,
        "tags": compute.tags if steady else compute.tags or None,
        **({"identity": compute.identity} if compute.identity else {}),
        "properties": properties,
    }


def _validate(state: EmulatorState, name: str, properties: dict[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise arm_error(
            400,
            "ComputeNameInvalid",
            f"Compute name '{name}' is invalid. It has 2 to 32 letters, digits and hyphens, starts with a "
            "letter and ends with a letter or digit.",
        )
    kind = properties.get("computeType")
    inner = properties.get("properties")
    if kind != "AmlCompute" or not isinstance(inner, dict):
        raise arm_error(
            501, "NotImplemented", f"The emulator has clusters (AmlCompute) only, not computeType '{kind}'."
        )
    size = SIZES.get(str(inner.get("vmSize", "")).lower())
    if size is None:
        raise arm_error(
            400,
            "InvalidVmSize",
            f"The specified VM size {inner.get('vmSize')} is not supported in {state.settings.location}.",
        )
    scale = inner.get("scaleSettings") or {}
    least, most = int(scale.get("minNodeCount", 0)), int(scale.get("maxNodeCount", 1))
    if least < 0 or most < 1 or least > most:
        raise arm_error(400, "InvalidScaleSettings", "minNodeCount must lie between 0 and maxNodeCount.")
    needed = most * size.cores
    allowed = limit(state, size.family)
    if needed > allowed:
        raise arm_error(
            400,
            "ClusterCoreQuotaReached",
            f"The specified maximum of {most} nodes of {size.name} needs {needed} cores, more than the quota "
            f"of {allowed} cores of {size.family} in {state.settings.location}.",
        )


def _identity(state: EmulatorState, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """The identity as sent, with what Azure fills in for a system-assigned one."""
    if not given or "SystemAssigned" not in str(given.get("type", "")):
        return given
    principal = "00000000-0000-0000-0000-0000000000c1"
    return {"principalId": principal, "tenantId": state.settings.tenant, **given}


def _put(state: EmulatorState, request: Request) -> Response:
    """Creating and updating are the same call, and both answer 201."""
    document, name = state.body(request), request["compute"]
    properties = document.get("properties") or {}
    _validate(state, name, properties)
    now = state.clock.now()
    with state.lock:
        existing = state.computes.get(name.lower())
        operation = operations.begin(state, "compute.put", "", name, state.pace.compute)
        compute = Compute(
            name=existing.name if existing else name,
            location=document.get("location") or state.settings.location,
            properties=properties,
            created=existing.created if existing else now,
            modified=now,
            operation=operation.id,
            tags=document.get("tags") or {},
            identity=_identity(state, document.get("identity")),
        )
        state.computes.put(name.lower(), compute)
    answer = render(state, compute)
    inner = answer["properties"]["properties"]
    inner["vmSize"] = str(inner["vmSize"]).upper()  # recorded: in this answer only
    return json_response(
        answer, 201, {"Azure-AsyncOperation": operations.status_url(state, request, operation)}
    )


def _get(state: EmulatorState, request: Request) -> Response:
    compute = state.computes.get(request["compute"].lower())
    return json_response(render(state, compute)) if compute else _missing()


def _list(state: EmulatorState, request: Request) -> Response:
    """Newest first."""
    return page(state, request, state.computes.values()[::-1], lambda compute: render(state, compute))


def _delete(state: EmulatorState, request: Request) -> Response:
    name = request["compute"].lower()
    with state.lock:
        compute = state.computes.get(name)
        if compute is None:
            return _missing()
        if request.query.get("underlyingResourceAction", "Delete").lower() != "delete":
            raise arm_error(501, "NotImplemented", "The emulator deletes computes and does not detach them.")
        operation = operations.begin(state, "compute.delete", "", name, state.pace.compute)
        state.computes.put(name, msgspec.structs.replace(compute, operation=operation.id))
    return Response(202, headers={"Azure-AsyncOperation": operations.status_url(state, request, operation)})


def _list_nodes(state: EmulatorState, request: Request) -> Response:
    """A cluster at rest has none."""
    return json_response({"nodes": []}) if state.computes.get(request["compute"].lower()) else _missing()


def _deleted(state: EmulatorState, operation: LongRunning) -> None:
    if operation.status == "Succeeded":
        state.computes.remove(operation.target)


def _nothing(state: EmulatorState, operation: LongRunning) -> None:
    """Its state follows from the operation itself."""


COMPLETIONS = {"compute.put": _nothing, "compute.delete": _deleted}
_ONE = f"{WORKSPACE}/computes/{{compute}}"
ROUTES = (
    Route("computes.put", "PUT", _ONE, _put, body=ComputeBody),
    Route("computes.get", "GET", _ONE, _get),
    Route("computes.list", "GET", f"{WORKSPACE}/computes", _list, query=PAGING),
    Route("computes.delete", "DELETE", _ONE, _delete, query=("underlyingResourceAction",)),
    Route("computes.list_nodes", "POST", f"{_ONE}/listNodes", _list_nodes),
)
