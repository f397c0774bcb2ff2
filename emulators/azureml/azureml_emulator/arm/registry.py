"""The public registry ``azureml``: discovery, the fine-tuning component and the base models.

Two months can be served, see ``Catalogue``. How the registry renders list and dict values of tags on the
wire is not established: they are sent as Python literals, which the notebook parses with
``ast.literal_eval``.
"""

from __future__ import annotations

from typing import Any

from azureml_emulator.core.catalogue import (
    DEFAULT_COMPONENT_VERSION,
    PUBLIC_REGISTRY_NAME,
    base_models,
    component_id,
    pipeline_component,
)
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.errors import registry_error
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.routing import PUBLIC_REGISTRY, Evidence, Plane, Route
from azureml_emulator.core.state import EmulatorState

_CREATED = "2025-01-21T00:00:00+00:00"


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _model(state: EmulatorState, name: str) -> dict[str, Any]:
    version = base_models()[name]["version"]
    facts = base_models()[name][state.settings.catalogue]
    properties: dict[str, Any] = {
        "description": f"{facts['tags'].get('displayName', name)}, as the emulator's catalogue knows it.",
        "tags": {key: _text(value) for key, value in facts["tags"].items()},
        "properties": {key: _text(value) for key, value in facts.get("properties", {}).items()},
        "isArchived": facts["archived"],
        "isAnonymous": False,
        "flavors": {"python_function": {"data": {}}, "hftransformersv2": {"data": {}}},
        "modelType": "mlflow_model",
        "modelUri": (
            "https://automlcesdkdataresources.blob.core.windows.net/models/huggingface/"
            f"{name.lower()}/mlflow_model_folder"
        ),
        "jobName": None,
        "provisioningState": "Succeeded",
        "stage": None,
    }
    if "system_metadata" in facts:
        properties["system_metadata"] = facts["system_metadata"]
    return {
        "id": f"azureml://registries/{PUBLIC_REGISTRY_NAME}/models/{name}/versions/{version}",
        "name": version,
        "type": "models",
        "properties": properties,
        "systemData": {"createdAt": _CREATED},
    }


def _component() -> dict[str, Any]:
    spec = pipeline_component()
    return {
        "id": component_id(),
        "name": spec["version"],
        "type": "components",
        "properties": {
            "description": None,
            "tags": {},
            "properties": {},
            "isArchived": False,
            "isAnonymous": False,
            "componentSpec": {
                "name": spec["name"],
                "version": spec["version"],
                "display_name": spec["display_name"],
                "is_deterministic": "True",
                "type": "pipeline",
                # Recorded for workspace components: every scalar of a spec is sent as text.
                "inputs": {
                    name: {
                        key: value if isinstance(value, list) else str(value) for key, value in port.items()
                    }
                    for name, port in spec["inputs"].items()
                },
                "outputs": spec["outputs"],
            },
            "provisioningState": "Succeeded",
        },
        "systemData": {"createdAt": _CREATED},
    }


def _discovery(state: EmulatorState, request: Request) -> Response:
    """Of the public registry, and of the one that may be written to."""
    settings = state.settings
    if request["registry"] not in (PUBLIC_REGISTRY_NAME, settings.registry):
        raise registry_error(request["registry"], settings.location, wire_time(state.clock.now()))
    return json_response(
        {
            "registryId": "00000000-0000-0000-0000-0000000000ff",
            "registryName": request["registry"],
            "tenantId": settings.tenant,
            "primaryRegion": settings.location,
            "regions": [settings.location],
            "subscriptionId": settings.subscription,
            "resourceGroup": settings.registry_resource_group,
            "workspaceName": None,
            "primaryRegionResourceProviderUri": f"{request.base}/",
            "registryFqdns": {settings.location: {"uri": request.base}},
            "intellectualPropertyPublisher": None,
        }
    )


def _list_models(state: EmulatorState, request: Request) -> Response:
    """Archived versions are left out; an unknown name is an empty list here, not 404."""
    known = request["model"] in base_models()
    found = [_model(state, request["model"])] if known else []
    return json_response({"value": [model for model in found if not model["properties"]["isArchived"]]})


def _get_model(state: EmulatorState, request: Request) -> Response:
    name, version = request["model"], request["version"]
    if name not in base_models() or version != base_models()[name]["version"]:
        raise state.not_found("ModelNotFound", f"Model with name: {name} and version: {version} not found.")
    return json_response(_model(state, name))


def _list_components(state: EmulatorState, request: Request) -> Response:
    del state
    known = request["component"] == pipeline_component()["name"]
    return json_response({"value": [_component()] if known else []})


def _get_component(state: EmulatorState, request: Request) -> Response:
    """The component at its one version, also by the default one."""
    spec = pipeline_component()
    name, version = request["component"], request["version"]
    if name != spec["name"] or version not in (spec["version"], DEFAULT_COMPONENT_VERSION):
        raise state.not_found(
            "ComponentNotFound", f"Component with name: {name} and version: {version} not found."
        )
    return json_response(_component())


_MODELS, _COMPONENTS = (
    f"{PUBLIC_REGISTRY}/models/{{model}}/versions",
    f"{PUBLIC_REGISTRY}/components/{{component}}/versions",
)
ROUTES = (
    Route(
        "registry.discovery",
        "GET",
        "/registrymanagement/v1.0/registries/{registry}/discovery",
        _discovery,
        Plane.OPEN,
    ),
    Route("registry.list_models", "GET", _MODELS, _list_models, Plane.REGISTRY),
    Route(
        "registry.get_model",
        "GET",
        f"{_MODELS}/{{version}}",
        _get_model,
        Plane.REGISTRY,
        Evidence.SDK_VERIFIED,
    ),
    Route(
        "registry.list_components",
        "GET",
        _COMPONENTS,
        _list_components,
        Plane.REGISTRY,
        Evidence.SDK_VERIFIED,
    ),
    Route(
        "registry.get_component",
        "GET",
        f"{_COMPONENTS}/{{version}}",
        _get_component,
        Plane.REGISTRY,
        Evidence.SDK_VERIFIED,
    ),
)
