"""Managed online endpoints: their life and traffic."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from local.azureml import operations
from local.azureml.clock import wire_time
from local.azureml.request_bodies import EndpointBody
from local.azureml.resources import Endpoint, LongRunning
from local.azureml.wire import WORKSPACE, Answer, Call, Evidence, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

_NAME = re.compile(r"[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_AUTH_MODES = ("Key", "AMLToken", "AADToken")


def endpoint_path(cloud: Cloud, name: str) -> str:
    """The endpoint's Azure Resource Manager id."""
    return f"{cloud.settings.workspace_arm_id}/onlineEndpoints/{name}"


def find(cloud: Cloud, call: Call) -> Endpoint:
    """The endpoint a path names.

    Raises:
        ServiceError: 404.
    """
    endpoint = cloud.endpoints.get(call["endpoint"].lower())
    if endpoint is None:
        raise cloud.not_found("EndpointNotFound", f"Online endpoint {call['endpoint']} was not found.")
    return endpoint


def refuse_while_busy(cloud: Cloud, operation_id: str, what: str) -> None:
    """One change at a time: anything else is a conflict (the text is chosen, not recorded)."""
    operation = cloud.operations.get(operation_id)
    if operation is not None and not operation.settled:
        raise cloud.error(
            409,
            f"The request could not be completed due to a conflict with the current state of {what}: an "
            f"operation of kind '{operation.kind}' is still in progress.",
            code="Conflict",
        )


def render(cloud: Cloud, call: Call, endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint as GET shows it; without addresses until it has once succeeded."""
    operation = cloud.operations.get(endpoint.operation)
    busy = "Updating" if endpoint.provisioned else "Creating"
    if operation is not None and operation.kind == "endpoint.delete":
        busy = "Deleting"
    scoring = f"{call.base}/_scoring/{endpoint.name}" if endpoint.provisioned else None
    path = endpoint_path(cloud, endpoint.name)
    status = f"{call.base}{cloud.settings.location_path}/mfeOperationsStatus/{endpoint.operation}"
    properties = {
        "description": endpoint.properties.get("description"),
        "properties": {
            **(endpoint.properties.get("properties") or {}),
            "azureml.onlineendpointid": path.lower(),
            "AzureAsyncOperationUri": f"{status}?api-version={call.query.get('api-version', '')}",
        },
        "scoringUri": f"{scoring}/score" if scoring else None,
        "swaggerUri": f"{scoring}/swagger.json" if scoring else None,
        "authMode": endpoint.properties["authMode"],
        "provisioningState": operations.state_of(cloud, endpoint.operation, busy),
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


def _validate(cloud: Cloud, name: str, properties: dict[str, Any], existing: Endpoint | None) -> None:
    if not 3 <= len(name) <= 32 or not _NAME.fullmatch(name):
        raise cloud.error(
            400,
            f"Endpoint name '{name}' is invalid: 3 to 32 letters, digits and hyphens, first a letter, last a "
            "letter or digit.",
            code="BadRequest",
        )
    mode = properties.get("authMode")
    if mode not in _AUTH_MODES:
        raise cloud.error(
            400, f"authMode must be one of {', '.join(_AUTH_MODES)}, not '{mode}'.", code="BadRequest"
        )
    for field in ("traffic", "mirrorTraffic"):
        _validate_traffic(cloud, name, field, properties.get(field) or {}, existing)


def _validate_traffic(
    cloud: Cloud, name: str, field: str, shares: dict[str, Any], existing: Endpoint | None
) -> None:
    for deployment, share in shares.items():
        if not isinstance(share, int) or not 0 <= share <= 100:
            raise cloud.error(400, f"{field} of '{deployment}' must be 0 to 100.", code="BadRequest")
        known = cloud.deployments.get(f"{name.lower()}/{deployment}") if existing else None
        if known is None:
            raise cloud.error(
                400,
                f"The {field} names deployment '{deployment}', which endpoint '{name}' has not got.",
                code="BadRequest",
            )
    total = sum(shares.values())
    if field == "traffic" and total not in (0, 100):
        raise cloud.error(400, f"Traffic must sum to 0 or 100, not {total}.", code="BadRequest")
    if field == "mirrorTraffic" and total > 50:
        raise cloud.error(400, f"Mirror traffic may be at most 50, not {total}.", code="BadRequest")


def _put(cloud: Cloud, call: Call) -> Answer:
    """201 for a new endpoint, 200 for a change of one."""
    document, name = cloud.body(call, EndpointBody), call["endpoint"]
    properties = document["properties"]
    now = cloud.clock.now()
    with cloud.lock:
        existing = cloud.endpoints.get(name.lower())
        _validate(cloud, name, properties, existing)
        if existing:
            refuse_while_busy(cloud, existing.operation, f"endpoint '{name}'")
            if existing.properties["authMode"] != properties["authMode"]:
                raise cloud.error(400, "authMode of an endpoint cannot be changed.", code="BadRequest")
        kind = "endpoint.update" if existing else "endpoint.create"
        operation = operations.begin(cloud, kind, "oeidp", name.lower(), cloud.pace.endpoint)
        endpoint = Endpoint(
            name=existing.name if existing else name,
            location=document.get("location") or cloud.settings.location,
            properties=properties,
            tags=document.get("tags") or {},
            identity=_identity(cloud, document.get("identity")),
            created=existing.created if existing else now,
            modified=now,
            operation=operation.id,
            primary_key=existing.primary_key if existing else secrets.token_urlsafe(24),
            secondary_key=existing.secondary_key if existing else secrets.token_urlsafe(24),
            provisioned=existing.provisioned if existing else False,
        )
        cloud.endpoints.put(name.lower(), endpoint)
        answer = render(cloud, call, endpoint)
    headers = {
        "Azure-AsyncOperation": operations.status_url(cloud, call, operation),
        "Location": f"{call.base}{call.path}?api-version={call.query['api-version']}",
        "x-ms-async-operation-timeout": "PT30M",
    }
    return json_answer(answer, 200 if existing else 201, headers)


def _identity(cloud: Cloud, given: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "type": "SystemAssigned",
        "principalId": "00000000-0000-0000-0000-0000000000e1",
        "tenantId": cloud.settings.tenant,
        **(given or {}),
    }


def _get(cloud: Cloud, call: Call) -> Answer:
    return json_answer(render(cloud, call, find(cloud, call)))


def _list(cloud: Cloud, call: Call) -> Answer:
    return json_answer({"value": [render(cloud, call, endpoint) for endpoint in cloud.endpoints.values()]})


def _delete(cloud: Cloud, call: Call) -> Answer:
    """Accepted whatever the traffic; a second delete joins the first; a missing endpoint is 204."""
    name = call["endpoint"].lower()
    with cloud.lock:
        endpoint = cloud.endpoints.get(name)
        if endpoint is None:
            return Answer(204)
        operation = cloud.operations.get(endpoint.operation)
        if operation is None or operation.settled or operation.kind != "endpoint.delete":
            operation = operations.begin(cloud, "endpoint.delete", "oeidp", name, cloud.pace.endpoint_delete)
            endpoint.operation = operation.id
            cloud.endpoints.put(name, endpoint)
    return accepted(cloud, call, operation)


def accepted(cloud: Cloud, call: Call, operation: LongRunning) -> Answer:
    """202 with the four bytes ``null`` and both addresses to poll."""
    headers = {
        "Azure-AsyncOperation": operations.status_url(cloud, call, operation),
        "Location": operations.result_url(cloud, call, operation),
        "x-ms-async-operation-timeout": "PT30M",
    }
    return json_answer(None, 202, headers)


def _provisioned(cloud: Cloud, operation: LongRunning) -> None:
    endpoint = cloud.endpoints.get(operation.target)
    if endpoint is not None and operation.status == "Succeeded":
        endpoint.provisioned = True
        cloud.endpoints.put(operation.target, endpoint)


def _deleted(cloud: Cloud, operation: LongRunning) -> None:
    """Deployments go with it."""
    if operation.status != "Succeeded":
        return
    cloud.endpoints.remove(operation.target)
    for key in cloud.deployments:
        if key.startswith(f"{operation.target}/"):
            cloud.deployments.remove(key)
            cloud.models.pop(key, None)


COMPLETIONS = {
    "endpoint.create": _provisioned,
    "endpoint.update": _provisioned,
    "endpoint.delete": _deleted,
}
_ONE = f"{WORKSPACE}/onlineEndpoints/{{endpoint}}"
ROUTES = (
    Route("endpoints.put", "PUT", _ONE, _put),
    Route("endpoints.get", "GET", _ONE, _get),
    Route("endpoints.list", "GET", f"{WORKSPACE}/onlineEndpoints", _list, evidence=Evidence.DRIVEN),
    Route("endpoints.delete", "DELETE", _ONE, _delete),
)
