"""The workspace itself, and the discovery document that leads to its data plane."""

from __future__ import annotations

from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.routing import WORKSPACE, Plane, Route
from azureml_emulator.core.state import EmulatorState

_CREATED = "2026-01-01T00:00:00.0000000+00:00"
_PRINCIPAL = "00000000-0000-0000-0000-0000000000ee"


def _get(state: EmulatorState, request: Request) -> Response:
    settings = state.settings
    group = f"/subscriptions/{settings.subscription}/resourceGroups/{settings.resource_group}/providers"
    return json_response(
        {
            "id": settings.workspace_arm_id,
            "name": settings.workspace,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "location": settings.location,
            "tags": {},
            "etag": None,
            "properties": {
                "friendlyName": settings.workspace,
                "description": "",
                "storageAccount": f"{group}/Microsoft.Storage/storageAccounts/{settings.blob_account}",
                "keyVault": f"{group}/Microsoft.Keyvault/vaults/{settings.workspace}vault",
                "applicationInsights": f"{group}/Microsoft.insights/components/{settings.workspace}insights",
                "containerRegistry": (
                    f"{group}/Microsoft.ContainerRegistry/registries/{settings.workspace}registry"
                ),
                "hbiWorkspace": False,
                "tenantId": settings.tenant,
                "imageBuildCompute": None,
                "provisioningState": "Succeeded",
                "v1LegacyMode": False,
                "softDeleteEnabled": False,
                "creationTime": _CREATED,
                "storageHnsEnabled": False,
                "workspaceId": settings.workspace_id,
                "publicNetworkAccess": "Enabled",
                "ipAllowlist": [],
                "discoveryUrl": f"{request.base}/discovery",
                "mlFlowTrackingUri": (
                    f"azureml://{request.base.removeprefix('https://')}/mlflow/v1.0{settings.workspace_arm_id}"
                ),
                "systemDatastoresAuthMode": "accesskey",
                "enableDataIsolation": False,
            },
            "identity": {"type": "SystemAssigned", "principalId": _PRINCIPAL, "tenantId": settings.tenant},
            "kind": "Default",
            "sku": {"name": "Basic", "tier": "Basic"},
            "systemData": {
                "createdAt": _CREATED,
                "createdBy": "local",
                "createdByType": "User",
                "lastModifiedAt": wire_time(state.clock.now()),
                "lastModifiedBy": "local",
                "lastModifiedByType": "User",
            },
        }
    )


def _discovery(state: EmulatorState, request: Request) -> Response:
    """Only ``api`` is read by azure-ai-ml; the rest is what the service lists beside it."""
    del state
    names = ("api", "catalog", "experimentation", "history", "hyperdrive", "labeling", "modelmanagement")
    document = dict.fromkeys((*names, "pipelines"), request.base)
    return json_response({**document, "studio": "https://ml.azure.com"})


ROUTES = (
    Route("workspaces.get", "GET", WORKSPACE, _get),
    Route("discovery.get", "GET", "/discovery", _discovery, Plane.OPEN),
)
