"""Deployments behind an endpoint: quota checks, their container's start, and its logs."""

from __future__ import annotations

import json
import re
import secrets
from datetime import timedelta
from typing import Any

import msgspec

from azureml_emulator.arm.deployment_document import render, with_defaults
from azureml_emulator.arm.endpoints import accepted, find, refuse_while_busy
from azureml_emulator.core import operations
from azureml_emulator.core.asset_families import MODEL, by_id
from azureml_emulator.core.catalogue import model_ids
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.lists import PAGING, page
from azureml_emulator.core.resources import Deployment, Endpoint, LongRunning
from azureml_emulator.core.routing import WORKSPACE, Route
from azureml_emulator.core.serving_bodies import DeploymentBody, LogsBody
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.vm_sizes import SIZES, VmSize, cores_reserved, limit, usage
from azureml_emulator.serving.container import ContainerCrashedError
from azureml_emulator.serving.images import environment_image
from azureml_emulator.serving.start import start

_NAME = re.compile(r"[a-zA-Z](?:[-a-zA-Z0-9]{0,30}[a-zA-Z0-9])?")
LONGEST_REQUEST = timedelta(seconds=180)
"""Of a managed online endpoint ("Manage resource quotas")."""


def _key(endpoint: str, name: str) -> str:
    return f"{endpoint.lower()}/{name}"


def _refused(state: EmulatorState, field: str, message: str) -> Exception:
    """The recorded nesting: the inner service's validation errors as text inside the outer detail."""
    inner = {
        "errors": {field: [message]},
        "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
        "title": "One or more validation errors occurred.",
        "status": 400,
        "traceId": secrets.token_hex(16),
    }
    text = f"InferencingClient HttpRequest error, error detail: {json.dumps(inner, separators=(',', ':'))}"
    return state.error(
        400,
        "The request is invalid.",
        code="BadRequest",
        detail=("InferencingClientCreateDeploymentFailed", text),
    )


def _validate(state: EmulatorState, endpoint: Endpoint, name: str, properties: dict[str, Any]) -> VmSize:
    if not 3 <= len(name) <= 32 or not _NAME.fullmatch(name):
        raise state.error(
            400,
            f"Deployment name '{name}' is invalid: 3 to 32 letters, digits and hyphens, first a letter, last "
            "a letter or digit.",
            code="BadRequest",
        )
    if not endpoint.provisioned:
        raise state.error(
            409, f"Endpoint '{endpoint.name}' is not ready for deployments yet.", code="Conflict"
        )
    refuse_while_busy(state, endpoint.operation, f"endpoint '{endpoint.name}'")
    model = properties.get("model")
    if model and model not in model_ids() and by_id(state, MODEL, model) is None:
        raise state.not_found("ModelNotFound", f"Model {model} not found.")
    _check_environment(state, properties.get("environmentId"))
    _check_requests(state, properties["requestSettings"])
    for probe in ("livenessProbe", "readinessProbe"):
        _check_probe(state, probe, properties[probe])
    instance_type = str(properties["instanceType"])
    size = SIZES.get(instance_type.lower())
    if size is None:
        raise _refused(state, "VmSize", f"Instance type {instance_type} is not supported.")
    return size


def _check_environment(state: EmulatorState, identifier: str | None) -> None:
    """It must be there, and say how to talk to its container if that is a custom one (the text is chosen)."""
    if not identifier:
        return
    image = environment_image(state, identifier)
    if image is None:
        raise state.not_found("EnvironmentNotFound", f"Environment {identifier} not found.")
    registered = identifier.startswith("azureml://registries/")
    if image.foundation_model and not registered and image.inference.scoringRoute is None:
        raise state.error(
            400,
            f"Environment {identifier} has a custom container and no inferenceConfig with livenessRoute, "
            "readinessRoute and scoringRoute.",
            code="BadRequest",
        )


def _duration(state: EmulatorState, field: str, value: str) -> timedelta:
    try:
        return msgspec.convert(value, timedelta)
    except msgspec.ValidationError:
        raise state.error(
            400, f"{field} is '{value}'; it must be an ISO 8601 duration.", code="BadRequest"
        ) from None


def _check_requests(state: EmulatorState, settings: dict[str, Any]) -> None:
    timeout = _duration(state, "requestTimeout", settings["requestTimeout"])
    _duration(state, "maxQueueWait", settings["maxQueueWait"])
    if not timedelta(0) < timeout <= LONGEST_REQUEST:
        raise state.error(400, "requestTimeout must be at most 180 seconds.", code="BadRequest")
    if int(settings["maxConcurrentRequestsPerInstance"]) < 1:
        raise state.error(400, "maxConcurrentRequestsPerInstance must be at least 1.", code="BadRequest")


def _check_probe(state: EmulatorState, name: str, probe: dict[str, Any]) -> None:
    for field in ("initialDelay", "period", "timeout"):
        least = timedelta(0) if field == "initialDelay" else timedelta(seconds=1)
        if _duration(state, f"{name}.{field}", probe[field]) < least:
            raise state.error(400, f"{name}.{field} must be at least {least}.", code="BadRequest")
    for field in ("failureThreshold", "successThreshold"):
        if probe[field] < 1:
            raise state.error(400, f"{name}.{field} must be at least 1.", code="BadRequest")


def _check_quota(state: EmulatorState, size: VmSize, instances: int, held: int) -> None:
    needed = cores_reserved(size, instances) - held
    used, allowed = usage(state, size.family), limit(state, size.family)
    if needed > 0 and used + needed > allowed:
        raise _refused(
            state,
            "VmSize",
            f"Not enough quota available for {size.name} in SubscriptionId {state.settings.subscription}. "
            f"Current usage/limit: {used}/{allowed}. Additional needed: {needed} Please see troubleshooting "
            "guide, available here: https://aka.ms/oe-tsg#error-outofquota",
        )


def _held(existing: Deployment | None, size: VmSize) -> int:
    """Cores that an update gives back before it takes new ones."""
    if existing is None or SIZES.get(str(existing.properties["instanceType"]).lower()) != size:
        return 0
    return cores_reserved(size, int(existing.sku.get("capacity", 1)))


def _put(state: EmulatorState, request: Request) -> Response:
    """Quota is checked at once; whether the container starts shows in the operation only."""
    document, name = state.body(request), request["deployment"]
    now = state.clock.now()
    properties = with_defaults(document.get("properties") or {})
    sku = {"name": "Default", "tier": "Standard", "capacity": 1, **(document.get("sku") or {})}
    with state.lock:
        endpoint = find(state, request)
        key = _key(endpoint.name, name)
        existing = state.deployments.get(key)
        size = _validate(state, endpoint, name, properties)
        if existing:
            refuse_while_busy(state, existing.operation, f"deployment '{name}'")
        _check_quota(state, size, int(sku["capacity"]), _held(existing, size))
        kind = "deployment.update" if existing else "deployment.create"
        operation = operations.begin(state, kind, "odidp", key, state.pace.deployment)
        deployment = Deployment(
            endpoint=endpoint.name,
            name=name,
            location=document.get("location") or state.settings.location,
            properties=properties,
            tags=document.get("tags") or {},
            sku=sku,
            created=existing.created if existing else now,
            modified=now,
            operation=operation.id,
            logs=existing.logs if existing else [],
        )
        state.deployments.put(key, deployment)
        state.containers.pop(key, None)
        answer = render(state, request, deployment)
        if existing:  # recorded: an update is answered like a creation
            answer["properties"].update(provisioningState="Creating", instanceType=None)
    headers = {
        "Azure-AsyncOperation": operations.status_url(state, request, operation),
        "Location": f"{request.base}{request.path}?api-version={request.query['api-version']}",
        "x-ms-async-operation-timeout": "PT30M",
    }
    return json_response(answer, 201, headers)


def _found(state: EmulatorState, request: Request) -> Deployment:
    endpoint = find(state, request)
    deployment = state.deployments.get(_key(endpoint.name, request["deployment"]))
    if deployment is None:
        raise state.not_found(
            "DeploymentNotFound",
            f"Deployment {request['deployment']} of online endpoint {endpoint.name} was not found.",
        )
    return deployment


def _get(state: EmulatorState, request: Request) -> Response:
    return json_response(render(state, request, _found(state, request)))


def _list(state: EmulatorState, request: Request) -> Response:
    """Newest first."""
    endpoint = find(state, request)
    found = [one for one in reversed(state.deployments.values()) if one.endpoint == endpoint.name]
    return page(state, request, found, lambda one: render(state, request, one))


def _delete(state: EmulatorState, request: Request) -> Response:
    """Refused while traffic goes to it (the text is chosen); a missing one is 204."""
    with state.lock:
        endpoint = state.endpoints.get(request["endpoint"].lower())
        key = _key(request["endpoint"], request["deployment"])
        deployment = state.deployments.get(key)
        if endpoint is None or deployment is None:
            return Response(204)
        share = (endpoint.properties.get("traffic") or {}).get(deployment.name, 0)
        if share:
            raise state.error(
                400,
                f"Deployment '{deployment.name}' still gets {share} % of the traffic. Set it to 0 first.",
                code="BadRequest",
            )
        refuse_while_busy(state, deployment.operation, f"deployment '{deployment.name}'")
        operation = operations.begin(state, "deployment.delete", "odidp", key, state.pace.deployment_delete)
        deployment.operation = operation.id
        state.deployments.put(key, deployment)
    return accepted(state, request, operation)


def _logs(state: EmulatorState, request: Request) -> Response:
    deployment = _found(state, request)
    tail = int(state.body(request).get("tail") or 100)
    return json_response({"content": "\n".join(deployment.logs[-tail:]) + "\n"})


def _created(state: EmulatorState, operation: LongRunning) -> None:
    """The container starts and loads its model; if it cannot, the operation fails."""
    deployment = state.deployments.get(operation.target)
    if deployment is None:
        return
    deployment.logs.append("azmlinfsrv/1.2.2: loading the model")
    if operation.status == "Succeeded":
        try:
            state.containers[operation.target] = start(state, operation.target, deployment)
            deployment.logs.append("azmlinfsrv/1.2.2: the model is ready, listening on 31311")
        except ContainerCrashedError as error:
            deployment.logs.append(error.log)
            operations.fail(state, operation, _crash(state, error))
    if operation.status != "Succeeded":
        deployment.logs.append(
            f"azmlinfsrv/1.2.2: {(operation.error or {}).get('message', operation.status)}"
        )
    state.deployments.put(operation.target, deployment)


def _crash(state: EmulatorState, error: ContainerCrashedError) -> dict[str, Any]:
    """The operation's error, in the form of 2026 or in the older one; the reason is in the log only."""
    probe = error.probe if "probe failed: " in error.probe else f"Liveness probe failed: {error.probe}"
    message = f"User container has crashed or terminated: {probe}."
    if state.switches.crash_error == "ResourceNotReady":
        return {"message": f"ResourceNotReady: {message}"}
    return {"code": "BadArgument", "message": message}


def _deleted(state: EmulatorState, operation: LongRunning) -> None:
    """Its entries in traffic and mirror traffic go with it."""
    if operation.status != "Succeeded":
        return
    state.deployments.remove(operation.target)
    state.containers.pop(operation.target, None)
    name, _, deployment = operation.target.partition("/")
    endpoint = state.endpoints.get(name)
    if endpoint is not None:
        for field in ("traffic", "mirrorTraffic"):
            (endpoint.properties.get(field) or {}).pop(deployment, None)
        state.endpoints.put(name, endpoint)


COMPLETIONS = {
    "deployment.create": _created,
    "deployment.update": _created,
    "deployment.delete": _deleted,
}
_ALL = f"{WORKSPACE}/onlineEndpoints/{{endpoint}}/deployments"
_ONE = f"{_ALL}/{{deployment}}"
ROUTES = (
    Route("deployments.put", "PUT", _ONE, _put, body=DeploymentBody),
    Route("deployments.get", "GET", _ONE, _get),
    Route("deployments.list", "GET", _ALL, _list, query=PAGING),
    Route("deployments.delete", "DELETE", _ONE, _delete),
    Route(
        "deployments.get_logs",
        "POST",
        f"{_ONE}/getLogs",
        _logs,
        body=LogsBody,
    ),
)
