"""A deployment as the service shows it, and the defaults it fills in (recorded)."""

from __future__ import annotations

from typing import Any

from azureml_emulator.arm.endpoints import endpoint_path
from azureml_emulator.core import operations
from azureml_emulator.core.asset_families import MODEL, by_id
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.http import Request
from azureml_emulator.core.resources import Deployment
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.serving.start import model_directory

_REQUESTS = {"maxQueueWait": "PT0S", "requestTimeout": "PT5S", "maxConcurrentRequestsPerInstance": 1}
_PROBE = {
    "failureThreshold": 30,
    "successThreshold": 1,
    "timeout": "PT2S",
    "period": "PT10S",
    "initialDelay": "PT10S",
}


def render(state: EmulatorState, request: Request, deployment: Deployment) -> dict[str, Any]:
    """The deployment as GET shows it."""
    operation = state.operations.get(deployment.operation)
    busy = {"deployment.update": "Updating", "deployment.delete": "Deleting"}.get(
        operation.kind if operation else "", "Creating"
    )
    provisioning = operations.state_of(state, deployment.operation, busy)
    status = f"{request.base}{state.settings.location_path}/mfeOperationsStatus/{deployment.operation}"
    properties = {
        **deployment.properties,
        "properties": {
            **(deployment.properties.get("properties") or {}),
            "AzureAsyncOperationUri": f"{status}?api-version={request.query.get('api-version', '')}",
        },
        "provisioningState": provisioning,
    }
    if provisioning == "Succeeded":
        properties["environmentVariables"] = {
            **(deployment.properties.get("environmentVariables") or {}),
            **_injected(state, deployment),
        }
        properties["privateNetworkConnection"] = False
    return {
        "id": f"{endpoint_path(state, deployment.endpoint)}/deployments/{deployment.name}",
        "name": deployment.name,
        "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
        "properties": properties,
        "systemData": {
            "createdAt": wire_time(deployment.created),
            "createdBy": "local",
            "lastModifiedAt": wire_time(deployment.modified),
        },
        "tags": deployment.tags,
        "location": deployment.location,
        "kind": "Managed",
        "sku": deployment.sku,
    }


def _injected(state: EmulatorState, deployment: Deployment) -> dict[str, str]:
    """Variables that the platform sets."""
    custom = bool(deployment.properties.get("environmentId"))
    if custom and not state.switches.model_dir_injected:
        return {}
    model = by_id(state, MODEL, str(deployment.properties.get("model", "")))
    return {
        "AZUREML_MODEL_DIR": model_directory(model.name, model.version) if model else "",
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AML_APP_ROOT": "/var/azureml-app/onlinescoring",
    }


def with_defaults(given: dict[str, Any]) -> dict[str, Any]:
    """What was sent, with the service's defaults for what was not."""
    return {
        "description": None,
        "codeConfiguration": None,
        "environmentId": None,
        "environmentVariables": {},
        "modelMountPath": None,
        "appInsightsEnabled": False,
        "instanceType": "Standard_F4s_v2",
        "egressPublicNetworkAccess": "Enabled",
        "dataCollector": None,
        "endpointComputeType": "Managed",
        **given,
        "scaleSettings": given.get("scaleSettings") or {"scaleType": "Default"},
        "requestSettings": {**_REQUESTS, **(given.get("requestSettings") or {})},
        "livenessProbe": {**_PROBE, **(given.get("livenessProbe") or {})},
        "readinessProbe": {**_PROBE, **(given.get("readinessProbe") or {})},
    }
