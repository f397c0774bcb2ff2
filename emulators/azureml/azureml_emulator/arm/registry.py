"""The public registries: discovery, the fine-tuning component and the base models.

Two months can be served, see ``Catalogue``. How the registry writes lists and objects in tags is not
established: a switch decides between Python literals, which the notebook parses, and JSON.
"""

from __future__ import annotations

import json
from typing import Any

from azureml_emulator.core.catalogue import (
    DEFAULT_COMPONENT_VERSION,
    PUBLIC_REGISTRY_NAME,
    PUBLISHED_REGISTRIES,
    base_models,
    component_id,
    model_id,
    offered_component,
    pipeline_component,
)
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.errors import registry_error
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.lists import PAGING, in_view, page
from azureml_emulator.core.routing import PUBLIC_REGISTRY, Plane, Route
from azureml_emulator.core.state import EmulatorState

_CREATED = "2025-01-21T00:00:00+00:00"


def _text(state: EmulatorState, value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value) if state.switches.tag_lists == "json" else repr(value)


def _metadata(state: EmulatorState, given: dict[str, Any]) -> dict[str, Any]:
    """``system_metadata`` under the names that the switch ``allow_lists`` chooses."""
    if state.switches.allow_lists == "supportedComputes":
        return given
    computes = given.get("supportedComputes", {})
    flat = {f"{use}_compute_allow_list": computes.get(f"{use}Computes") for use in ("finetune", "inference")}
    rest = {name: value for name, value in given.items() if name != "supportedComputes"}
    return {**rest, **{name: sizes for name, sizes in flat.items() if sizes}}


def _model(state: EmulatorState, name: str) -> dict[str, Any]:
    model = base_models()[name]
    facts = model[state.catalogue]
    mlflow = model["type"] == "mlflow_model"
    properties: dict[str, Any] = {
        "description": f"{facts['tags'].get('displayName', name)}, as the emulator's catalogue knows it.",
        "tags": {key: _text(state, value) for key, value in facts["tags"].items()},
        "properties": {key: _text(state, value) for key, value in facts.get("properties", {}).items()},
        "isArchived": facts["archived"],
        "isAnonymous": False,
        "flavors": {"python_function": {"data": {}}, "hftransformersv2": {"data": {}}} if mlflow else {},
        "modelType": model["type"],
        "modelUri": (
            "https://automlcesdkdataresources.blob.core.windows.net/models/huggingface/"
            f"{name.lower()}/mlflow_model_folder"
        ),
        "jobName": None,
        "provisioningState": "Succeeded",
        "stage": None,
    }
    if "system_metadata" in facts:
        properties["system_metadata"] = _metadata(state, facts["system_metadata"])
    return {
        "id": model_id(name),
        "name": model["version"],
        "type": "models",
        "properties": properties,
        "systemData": {"createdAt": _CREATED},
    }


def _component(state: EmulatorState) -> dict[str, Any]:
    spec = offered_component(state)
    return {
        "id": component_id(state),
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
    """Of the public registries, and of the one that may be written to."""
    settings = state.settings
    if request["registry"] not in (*PUBLISHED_REGISTRIES, settings.registry):
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


def _published(request: Request) -> bool:
    """Whether the registry of the path publishes the model of the path."""
    model = base_models().get(request["model"])
    return model is not None and model["registry"] == request["registry"]


def _list_models(state: EmulatorState, request: Request) -> Response:
    """A name has one version, archived or not; an unknown one is an empty list here, not 404."""
    found = [_model(state, request["model"])] if _published(request) else []
    shown = [one for one in found if in_view(state, request, archived=one["properties"]["isArchived"])]
    return page(state, request, shown, dict)


def _get_model(state: EmulatorState, request: Request) -> Response:
    name, version = request["model"], request["version"]
    if not _published(request) or version != base_models()[name]["version"]:
        raise state.not_found("ModelNotFound", f"Model with name: {name} and version: {version} not found.")
    return json_response(_model(state, name))


def _list_components(state: EmulatorState, request: Request) -> Response:
    known = request["component"] == pipeline_component()["name"]
    here = known and request["registry"] == PUBLIC_REGISTRY_NAME
    shown = [_component(state)] if here and in_view(state, request, archived=False) else []
    return page(state, request, shown, dict)


def _get_component(state: EmulatorState, request: Request) -> Response:
    """The component at its one version, also by the default one."""
    spec = offered_component(state)
    name, version = request["component"], request["version"]
    here = name == spec["name"] and request["registry"] == PUBLIC_REGISTRY_NAME
    if not here or version not in (spec["version"], DEFAULT_COMPONENT_VERSION):
        raise state.not_found(
            "ComponentNotFound", f"Component with name: {name} and version: {version} not found."
        )
    return json_response(_component(state))


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
    Route(
        "registry.list_models",
        "GET",
        _MODELS,
        _list_models,
        Plane.REGISTRY,
        query=("$orderBy", "listViewType", *PAGING),
    ),
    Route(
        "registry.get_model",
        "GET",
        f"{_MODELS}/{{version}}",
        _get_model,
        Plane.REGISTRY,
    ),
    Route(
        "registry.list_components",
        "GET",
        _COMPONENTS,
        _list_components,
        Plane.REGISTRY,
        query=("$orderBy", "listViewType", *PAGING),
    ),
    Route(
        "registry.get_component",
        "GET",
        f"{_COMPONENTS}/{{version}}",
        _get_component,
        Plane.REGISTRY,
    ),
)
