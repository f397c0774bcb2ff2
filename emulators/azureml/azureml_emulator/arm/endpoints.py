"""Managed online endpoints: create, update, delete, and traffic rules."""

from __future__ import annotations

import re
import secrets
from typing import Any

from azureml_emulator.core import operations
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.lists import PAGING, has_tags, page
from azureml_emulator.core.resources import Endpoint, LongRunning
from azureml_emulator.core.routing import WORKSPACE, Route
from azureml_emulator.core.serving_bodies import EndpointBody
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.serving.images import scoring_path

_NAME = re.compile(r"[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_AUTH_MODES = ("Key", "AMLToken", "AADToken")


def endpoint_path(state: EmulatorState, name: str) -> str:
    """The endpoint's Azure Resource Manager id."""
    return f"{state.settings.workspace_arm_id}/onlineEndpoints/{name}"


def find(state: EmulatorState, request: Request) -> Endpoint:
    """The endpoint a path names.

    Raises:
        ServiceError: 404.
    """
    endpoint = state.endpoints.get(request["endpoint"].lower())
    if endpoint is None:
        raise state.not_found("EndpointNotFound", f"Online endpoint {request['endpoint']} was not found.")
    return endpoint


def refuse_while_busy(state: EmulatorState, operation_id: str, what: str) -> None:
    """One change at a time: anything else is a conflict (the text is chosen, not recorded)."""
    operation = state.operations.get(operation_id)
    if operation is not None and not operation.settled:
        raise state.error(
            409,
            f"The request could not be completed due to a conflict with the current state of {what}: an "
            f"operation of kind '{operation.kind}' is still in progress.",
            code="Conflict",
        )


def render(state: EmulatorState, request: Request, endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint as GET shows it; without addresses until it has once succeeded."""
    operation = state.operations.get(endpoint.operation)
    busy = "Updating" if endpoint.provisioned else "Creating"
    if operation is not None and operation.kind == "endpoint.delete":
        busy = "Deleting"
    scoring = f"{request.base}/_scoring/{endpoint.name}" if endpoint.provisioned else None
    path = endpoint_path(state, endpoint.name)
    status = f"{request.base}{state.settings.location_path}/mfeOperationsStatus/{endpoint.operation}"
    properties = {
        "description": endpoint.properties.get("description"),
        "properties": {
            **(endpoint.properties.get("properties") or {}),
            "azureml.onlineendpointid": path.lower(),
            "AzureAsyncOperationUri": f"{status}?api-version={request.query.get('api-version', '')}",
        },
        "scoringUri": f"{scoring}{_scoring_path(state, endpoint)}" if scoring else None,
        "swaggerUri": f"{scoring}/swagger.json" if scoring else None,
        "authMode": endpoint.properties["authMode"],
        "provisioningState": operations.state_of(state, endpoint.operation, busy),
        "compute": None,
        "traffic": endpoint.properties.get("traffic") or {},
        "mirrorTraffic": endpoint.properties.get("mirrorTraffic") or {},
        "publicNetworkAccess": endpoint.properties.get("publicNetworkAccess") or "Enabled",
    }
    return {
        "id": path,
        "name": endpoint.name,
        "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
        "properties": properties,
        "systemData": {
            "createdAt": wire_time(endpoint.created),
            "createdBy": "local",
            "lastModifiedAt": wire_time(endpoint.modified),
        },
        "tags": endpoint.tags,
        "location": endpoint.location,
        "kind": "Managed",
        "identity": endpoint.identity,
    }


def _scoring_path(state: EmulatorState, endpoint: Endpoint) -> str:
    """The scoring route of the deployment that gets most of the traffic, or of the first one."""
    shares = endpoint.properties.get("traffic") or {}
    found = [one for one in state.deployments.values() if one.endpoint == endpoint.name]
    found.sort(key=lambda one: -shares.get(one.name, 0))
    return scoring_path(state, found[0].properties) if found else "/score"


def _validate(state: EmulatorState, name: str, properties: dict[str, Any], existing: Endpoint | None) -> None:
    if not 3 <= len(name) <= 32 or not _NAME.fullmatch(name):
        raise state.error(
            400,
            f"Endpoint name '{name}' is invalid: 3 to 32 letters, digits and hyphens, first a letter, last a "
            "letter or digit.",
            code="BadRequest",
        )
    mode = properties.get("authMode")
    if mode not in _AUTH_MODES:
        raise state.error(
            400, f"authMode must be one of {', '.join(_AUTH_MODES)}, not '{mode}'.", code="BadRequest"
        )
    for field in ("traffic", "mirrorTraffic"):
        _validate_traffic(state, name, field, properties.get(field) or {}, existing)


def _validate_traffic(
    state: EmulatorState, name: str, field: str, shares: dict[str, Any], existing: Endpoint | None
) -> None:
    for deployment, share in shares.items():
        if not isinstance(share, int) or not 0 <= share <= 100:
            raise state.error(400, f"{field} of '{deployment}' must be 0 to 100.", code="BadRequest")
        known = state.deployments.get(f"{name.lower()}/{deployment}") if existing else None
        if known is None:
            raise state.error(
                400,
                f"The {field} names deployment '{deployment}', which endpoint '{name}' does not have.",
                code="BadRequest",
            )
    total = sum(shares.values())
    if field == "traffic" and total not in (0, 100):
        raise state.error(400, f"Traffic must sum to 0 or 100, not {total}.", code="BadRequest")
    if field == "mirrorTraffic" and total > 50:
        raise state.error(400, f"Mirror traffic may be at most 50, not {total}.", code="BadRequest")


def _put(state: EmulatorState, request: Request) -> Response:
    """201 for a new endpoint and for a change of one."""
    document, name = state.body(request), request["endpoint"]
    properties = document["properties"]
    now = state.clock.now()
    with state.lock:
        existing = state.endpoints.get(name.lower())
        _validate(state, name, properties, existing)
        if existing:
            refuse_while_busy(state, existing.operation, f"endpoint '{name}'")
            if existing.properties["authMode"] != properties["authMode"]:
                raise state.error(400, "authMode of an endpoint cannot be changed.", code="BadRequest")
        kind = "endpoint.update" if existing else "endpoint.create"
        operation = operations.begin(state, kind, "oeidp", name.lower(), state.pace.endpoint)
        endpoint = Endpoint(
            name=existing.name if existing else name,
            location=document.get("location") or state.settings.location,
            properties=properties,
            tags=document.get("tags") or {},
            identity=_identity(state, document.get("identity")),
            created=existing.created if existing else now,
            modified=now,
            operation=operation.id,
            primary_key=existing.primary_key if existing else secrets.token_urlsafe(24),
            secondary_key=existing.secondary_key if existing else secrets.token_urlsafe(24),
            provisioned=existing.provisioned if existing else False,
        )
        state.endpoints.put(name.lower(), endpoint)
        answer = render(state, request, endpoint)
        if existing:  # recorded: an update is answered like a creation
            unset = {"provisioningState": "Creating", "scoringUri": None, "swaggerUri": None}
            answer["properties"].update(unset)
    headers = {
        "Azure-AsyncOperation": operations.status_url(state, request, operation),
        "Location": f"{request.base}{request.path}?api-version={request.query['api-version']}",
        "x-ms-async-operation-timeout": "PT30M",
    }
    return json_response(answer, 201, headers)


def _identity(state: EmulatorState, given: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "type": "SystemAssigned",
        "principalId": "00000000-0000-0000-0000-0000000000e1",
        "tenantId": state.settings.tenant,
        **(given or {}),
    }


def _get(state: EmulatorState, request: Request) -> Response:
    return json_response(render(state, request, find(state, request)))


def _list(state: EmulatorState, request: Request) -> Response:
    """Newest first."""
    name = request.query.get("name")
    found = [
        one
        for one in reversed(state.endpoints.values())
        if name in (None, one.name) and has_tags(request, one.tags)
    ]
    return page(state, request, found, lambda one: render(state, request, one))


def _delete(state: EmulatorState, request: Request) -> Response:
    """Accepted whatever the traffic; a second delete joins the first; a missing endpoint is 204."""
    name = request["endpoint"].lower()
    with state.lock:
        endpoint = state.endpoints.get(name)
        if endpoint is None:
            return Response(204)
        operation = state.operations.get(endpoint.operation)
        if operation is None or operation.settled or operation.kind != "endpoint.delete":
            operation = operations.begin(state, "endpoint.delete", "oeidp", name, state.pace.endpoint_delete)
            endpoint.operation = operation.id
            state.endpoints.put(name, endpoint)
    return accepted(state, request, operation)


def accepted(state: EmulatorState, request: Request, operation: LongRunning) -> Response:
    """202 with the four bytes ``null`` and both addresses to poll."""
    headers = {
        "Azure-AsyncOperation": operations.status_url(state, request, operation),
        "Location": operations.result_url(state, request, operation),
        "x-ms-async-operation-timeout": "PT30M",
    }
    return json_response(None, 202, headers)


def _provisioned(state: EmulatorState, operation: LongRunning) -> None:
    endpoint = state.endpoints.get(operation.target)
    if endpoint is not None and operation.status == "Succeeded":
        endpoint.provisioned = True
        state.endpoints.put(operation.target, endpoint)


def _deleted(state: EmulatorState, operation: LongRunning) -> None:
    """Deployments go with it."""
    if operation.status != "Succeeded":
        return
    state.endpoints.remove(operation.target)
    for key in state.deployments:
        if key.startswith(f"{operation.target}/"):
            state.deployments.remove(key)
            state.containers.pop(key, None)


COMPLETIONS = {
    "endpoint.create": _provisioned,
    "endpoint.update": _provisioned,
    "endpoint.delete": _deleted,
}
_ONE = f"{WORKSPACE}/onlineEndpoints/{{endpoint}}"
ROUTES = (
    Route("endpoints.put", "PUT", _ONE, _put, body=EndpointBody),
    Route("endpoints.get", "GET", _ONE, _get),
    Route(
        "endpoints.list",
        "GET",
        f"{WORKSPACE}/onlineEndpoints",
        _list,
        query=("name", "tags", *PAGING),
    ),
    Route("endpoints.delete", "DELETE", _ONE, _delete),
)
