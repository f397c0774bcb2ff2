"""Deployments behind an endpoint: quota, the model they load, their container's fate and logs."""

from __future__ import annotations

import json
import re
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from local.azureml import operations
from local.azureml.asset_families import MODEL, by_id
from local.azureml.deployment_document import render, with_defaults
from local.azureml.endpoints import accepted, find, refuse_while_busy
from local.azureml.registry import model_ids
from local.azureml.request_bodies import DeploymentBody, LogsBody
from local.azureml.resources import Deployment, Endpoint, LongRunning
from local.azureml.served_model import ModelUnusableError, load
from local.azureml.vm_sizes import SIZES, VmSize, cores_reserved, limit, usage
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

_NAME = re.compile(r"[a-zA-Z](?:[-a-zA-Z0-9]{0,30}[a-zA-Z0-9])?")
LONGEST_REQUEST = timedelta(seconds=180)
"""Of a managed online endpoint ("Manage resource quotas")."""

CRASHED = "ResourceNotReady: User container has crashed or terminated: {reason}"


def _key(endpoint: str, name: str) -> str:
    return f"{endpoint.lower()}/{name}"


def _refused(cloud: Cloud, field: str, message: str) -> Exception:
    """The recorded nesting: the inner service's validation errors as text inside the outer detail."""
    inner = {
        "errors": {field: [message]},
        "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
        "title": "One or more validation errors occurred.",
        "status": 400,
        "traceId": secrets.token_hex(16),
    }
    text = f"InferencingClient HttpRequest error, error detail: {json.dumps(inner, separators=(',', ':'))}"
    return cloud.error(
        400,
        "The request is invalid.",
        code="BadRequest",
        detail=("InferencingClientCreateDeploymentFailed", text),
    )


def _validate(cloud: Cloud, endpoint: Endpoint, name: str, properties: dict[str, Any]) -> VmSize:
    if not 3 <= len(name) <= 32 or not _NAME.fullmatch(name):
        raise cloud.error(
            400,
            f"Deployment name '{name}' is invalid: 3 to 32 letters, digits and hyphens, first a letter, last "
            "a letter or digit.",
            code="BadRequest",
        )
    if not endpoint.provisioned:
        raise cloud.error(
            409, f"Endpoint '{endpoint.name}' is not ready for deployments yet.", code="Conflict"
        )
    refuse_while_busy(cloud, endpoint.operation, f"endpoint '{endpoint.name}'")
    model = properties.get("model")
    if model and model not in model_ids() and by_id(cloud, MODEL, model) is None:
        raise cloud.not_found("ModelNotFound", f"Model {model} not found.")
    _check_requests(cloud, properties["requestSettings"])
    instance_type = str(properties["instanceType"])
    size = SIZES.get(instance_type.lower())
    if size is None:
        raise _refused(cloud, "VmSize", f"Instance type {instance_type} is not supported.")
    return size


def _check_requests(cloud: Cloud, settings: dict[str, Any]) -> None:
    try:
        timeout = msgspec.convert(settings["requestTimeout"], timedelta)
    except msgspec.ValidationError:
        raise cloud.error(400, "requestTimeout must be an ISO 8601 duration.", code="BadRequest") from None
    if not timedelta(0) < timeout <= LONGEST_REQUEST:
        raise cloud.error(400, "requestTimeout must be at most 180 seconds.", code="BadRequest")
    if int(settings["maxConcurrentRequestsPerInstance"]) < 1:
        raise cloud.error(400, "maxConcurrentRequestsPerInstance must be at least 1.", code="BadRequest")


def _check_quota(cloud: Cloud, size: VmSize, instances: int, held: int) -> None:
    needed = cores_reserved(size, instances) - held
    used, allowed = usage(cloud, size.family), limit(cloud, size.family)
    if needed > 0 and used + needed > allowed:
        raise _refused(
            cloud,
            "VmSize",
            f"Not enough quota available for {size.name} in SubscriptionId {cloud.settings.subscription}. "
            f"Current usage/limit: {used}/{allowed}. Additional needed: {needed} Please see troubleshooting "
            "guide, available here: https://aka.ms/oe-tsg#error-outofquota",
        )


def _held(existing: Deployment | None, size: VmSize) -> int:
    """Cores that an update gives back before it takes new ones."""
    if existing is None or SIZES.get(str(existing.properties["instanceType"]).lower()) != size:
        return 0
    return cores_reserved(size, int(existing.sku.get("capacity", 1)))


def _put(cloud: Cloud, call: Call) -> Answer:
    """Quota is checked at once; what becomes of the container shows only in the operation."""
    document, name = cloud.body(call, DeploymentBody), call["deployment"]
    now = cloud.clock.now()
    properties = with_defaults(document.get("properties") or {})
    sku = {"name": "Default", "tier": "Standard", "capacity": 1, **(document.get("sku") or {})}
    with cloud.lock:
        endpoint = find(cloud, call)
        key = _key(endpoint.name, name)
        existing = cloud.deployments.get(key)
        size = _validate(cloud, endpoint, name, properties)
        if existing:
            refuse_while_busy(cloud, existing.operation, f"deployment '{name}'")
        _check_quota(cloud, size, int(sku["capacity"]), _held(existing, size))
        kind = "deployment.update" if existing else "deployment.create"
        operation = operations.begin(cloud, kind, "odidp", key, cloud.pace.deployment)
        deployment = Deployment(
            endpoint=endpoint.name,
            name=name,
            location=document.get("location") or cloud.settings.location,
            properties=properties,
            tags=document.get("tags") or {},
            sku=sku,
            created=existing.created if existing else now,
            modified=now,
            operation=operation.id,
            logs=existing.logs if existing else [],
        )
        cloud.deployments.put(key, deployment)
        cloud.models.pop(key, None)
        answer = render(cloud, call, deployment)
    headers = {
        "Azure-AsyncOperation": operations.status_url(cloud, call, operation),
        "Location": f"{call.base}{call.path}?api-version={call.query['api-version']}",
        "x-ms-async-operation-timeout": "PT30M",
    }
    return json_answer(answer, 200 if existing else 201, headers)


def _found(cloud: Cloud, call: Call) -> Deployment:
    endpoint = find(cloud, call)
    deployment = cloud.deployments.get(_key(endpoint.name, call["deployment"]))
    if deployment is None:
        raise cloud.not_found(
            "DeploymentNotFound",
            f"Deployment {call['deployment']} of online endpoint {endpoint.name} was not found.",
        )
    return deployment


def _get(cloud: Cloud, call: Call) -> Answer:
    return json_answer(render(cloud, call, _found(cloud, call)))


def _list(cloud: Cloud, call: Call) -> Answer:
    endpoint = find(cloud, call)
    return json_answer(
        {
            "value": [
                render(cloud, call, deployment)
                for deployment in cloud.deployments.values()
                if deployment.endpoint == endpoint.name
            ]
        }
    )


def _delete(cloud: Cloud, call: Call) -> Answer:
    """Refused while traffic goes to it (the text is chosen); a missing one is 204."""
    with cloud.lock:
        endpoint = cloud.endpoints.get(call["endpoint"].lower())
        key = _key(call["endpoint"], call["deployment"])
        deployment = cloud.deployments.get(key)
        if endpoint is None or deployment is None:
            return Answer(204)
        share = (endpoint.properties.get("traffic") or {}).get(deployment.name, 0)
        if share:
            raise cloud.error(
                400,
                f"Deployment '{deployment.name}' still gets {share} % of the traffic. Set it to 0 first.",
                code="BadRequest",
            )
        refuse_while_busy(cloud, deployment.operation, f"deployment '{deployment.name}'")
        operation = operations.begin(cloud, "deployment.delete", "odidp", key, cloud.pace.deployment_delete)
        deployment.operation = operation.id
        cloud.deployments.put(key, deployment)
    return accepted(cloud, call, operation)


def _logs(cloud: Cloud, call: Call) -> Answer:
    deployment = _found(cloud, call)
    tail = int(cloud.body(call, LogsBody).get("tail") or 100)
    return json_answer({"content": "\n".join(deployment.logs[-tail:]) + "\n"})


def _created(cloud: Cloud, operation: LongRunning) -> None:
    """The container starts: it loads its model, or crashes as one does that cannot."""
    deployment = cloud.deployments.get(operation.target)
    if deployment is None:
        return
    deployment.logs.append("azmlinfsrv/1.2.2: loading the model")
    if operation.status == "Succeeded":
        try:
            cloud.models[operation.target] = load(cloud, str(deployment.properties.get("model") or ""))
            deployment.logs.append("azmlinfsrv/1.2.2: the model is ready, listening on 31311")
        except ModelUnusableError as error:
            operations.fail(cloud, operation, {"message": CRASHED.format(reason=error)})
    if operation.status != "Succeeded":
        deployment.logs.append(
            f"azmlinfsrv/1.2.2: {(operation.error or {}).get('message', operation.status)}"
        )
    cloud.deployments.put(operation.target, deployment)


def _deleted(cloud: Cloud, operation: LongRunning) -> None:
    if operation.status == "Succeeded":
        cloud.deployments.remove(operation.target)
        cloud.models.pop(operation.target, None)


COMPLETIONS = {
    "deployment.create": _created,
    "deployment.update": _created,
    "deployment.delete": _deleted,
}
_ALL = f"{WORKSPACE}/onlineEndpoints/{{endpoint}}/deployments"
_ONE = f"{_ALL}/{{deployment}}"
ROUTES = (
    Route("deployments.put", "PUT", _ONE, _put),
    Route("deployments.get", "GET", _ONE, _get),
    Route("deployments.list", "GET", _ALL, _list),
    Route("deployments.delete", "DELETE", _ONE, _delete, evidence=Evidence.DRIVEN),
    Route("deployments.get_logs", "POST", f"{_ONE}/getLogs", _logs, evidence=Evidence.DRIVEN),
)
