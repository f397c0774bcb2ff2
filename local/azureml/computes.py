"""Compute clusters (AmlCompute)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local.azureml import operations
from local.azureml.clock import wire_time
from local.azureml.errors import arm_error
from local.azureml.request_bodies import ComputeBody
from local.azureml.resources import Compute, LongRunning
from local.azureml.vm_sizes import SIZES, limit
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

# Client and portal agree on this rule; the service's wording is not established.
_NAME = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])")
_NODE_COUNTS = ("preparing", "running", "idle", "unusable", "leaving", "preempted")


def _missing() -> Answer:
    """Recorded: 404 without any body."""
    return Answer(404)


def render(cloud: Cloud, compute: Compute) -> dict[str, Any]:
    """The cluster as GET shows it."""
    state = operations.state_of(cloud, compute.operation, "Creating")
    steady = state == "Succeeded"
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
    operation = cloud.operations.get(compute.operation)
    failed = state == "Failed" and operation is not None and operation.error is not None
    properties: dict[str, Any] = {
        "createdOn": wire_time(compute.created),
        "modifiedOn": wire_time(compute.modified),
        "disableLocalAuth": compute.properties.get("disableLocalAuth", False),
        "description": compute.properties.get("description"),
        "resourceId": None,
        "computeType": compute.properties.get("computeType", "AmlCompute"),
        "provisioningState": state,
        "provisioningErrors": [{"error": operation.error}] if failed and operation else None,
        "provisioningWarnings": {} if steady else None,
        "isAttachedCompute": False,
        "properties": inner,
    }
    if steady:
        properties["computeLocation"] = compute.location
    return {
        "id": f"{cloud.settings.workspace_arm_id}/computes/{compute.name}",
        "name": compute.name,
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": compute.location,
        "tags": compute.tags if steady else compute.tags or None,
        "properties": properties,
    }


def _validate(cloud: Cloud, name: str, properties: dict[str, Any]) -> None:
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
        raise arm_error(400, "BadRequest", f"The emulator has clusters (AmlCompute) only, not '{kind}'.")
    size = SIZES.get(str(inner.get("vmSize", "")).lower())
    if size is None:
        raise arm_error(
            400,
            "InvalidVmSize",
            f"The specified VM size {inner.get('vmSize')} is not supported in {cloud.settings.location}.",
        )
    scale = inner.get("scaleSettings") or {}
    least, most = int(scale.get("minNodeCount", 0)), int(scale.get("maxNodeCount", 1))
    if least < 0 or most < 1 or least > most:
        raise arm_error(400, "InvalidScaleSettings", "minNodeCount must lie between 0 and maxNodeCount.")
    needed = most * size.cores
    allowed = limit(cloud, size.family)
    if needed > allowed:
        raise arm_error(
            400,
            "ClusterCoreQuotaReached",
            f"The specified maximum of {most} nodes of {size.name} needs {needed} cores, more than the quota "
            f"of {allowed} cores of {size.family} in {cloud.settings.location}.",
        )


def _put(cloud: Cloud, call: Call) -> Answer:
    """Creating and updating are the same call, and both answer 201."""
    document, name = cloud.body(call, ComputeBody), call["compute"]
    properties = document.get("properties") or {}
    _validate(cloud, name, properties)
    now = cloud.clock.now()
    with cloud.lock:
        existing = cloud.computes.get(name.lower())
        operation = operations.begin(cloud, "compute.put", "", name, cloud.pace.compute)
        compute = Compute(
            name=existing.name if existing else name,
            location=document.get("location") or cloud.settings.location,
            properties=properties,
            created=existing.created if existing else now,
            modified=now,
            operation=operation.id,
            tags=document.get("tags") or {},
        )
        cloud.computes.put(name.lower(), compute)
    answer = render(cloud, compute)
    inner = answer["properties"]["properties"]
    inner["vmSize"] = str(inner["vmSize"]).upper()  # recorded: in this answer only
    return json_answer(answer, 201, {"Azure-AsyncOperation": operations.status_url(cloud, call, operation)})


def _get(cloud: Cloud, call: Call) -> Answer:
    compute = cloud.computes.get(call["compute"].lower())
    return json_answer(render(cloud, compute)) if compute else _missing()


def _list(cloud: Cloud, call: Call) -> Answer:
    del call
    return json_answer({"value": [render(cloud, compute) for compute in cloud.computes.values()]})


def _delete(cloud: Cloud, call: Call) -> Answer:
    name = call["compute"].lower()
    with cloud.lock:
        compute = cloud.computes.get(name)
        if compute is None:
            return _missing()
        operation = operations.begin(cloud, "compute.delete", "", name, cloud.pace.compute)
    return Answer(202, headers={"Azure-AsyncOperation": operations.status_url(cloud, call, operation)})


def _list_nodes(cloud: Cloud, call: Call) -> Answer:
    """A cluster at rest has none."""
    return json_answer({"nodes": []}) if cloud.computes.get(call["compute"].lower()) else _missing()


def _deleted(cloud: Cloud, operation: LongRunning) -> None:
    if operation.status == "Succeeded":
        cloud.computes.remove(operation.target)


def _nothing(cloud: Cloud, operation: LongRunning) -> None:
    """Its state follows from the operation itself."""


COMPLETIONS = {"compute.put": _nothing, "compute.delete": _deleted}
_ONE = f"{WORKSPACE}/computes/{{compute}}"
ROUTES = (
    Route("computes.put", "PUT", _ONE, _put),
    Route("computes.get", "GET", _ONE, _get),
    Route("computes.list", "GET", f"{WORKSPACE}/computes", _list, evidence=Evidence.DRIVEN),
    Route("computes.delete", "DELETE", _ONE, _delete),
    Route("computes.list_nodes", "POST", f"{_ONE}/listNodes", _list_nodes, evidence=Evidence.DRIVEN),
)
