"""The public registry ``azureml``: discovery, the fine-tuning component and the base models.

Two months can be served, see ``Catalogue``. How the registry renders list and dict values of tags on the
wire is not established: they are sent as Python literals, which the notebook parses with
``ast.literal_eval``.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.azureml.clock import wire_time
from local.azureml.errors import registry_error
from local.azureml.wire import PUBLIC_REGISTRY, Answer, Call, Evidence, Plane, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

NAME = "azureml"
DEFAULT_VERSION = "azureml_default"  # what azure-ai-ml asks for when no version of a component is named
_CATALOGUE = Path(__file__).parent / "catalogue"
_CREATED = "2025-01-21T00:00:00+00:00"


@cache
def pipeline_component() -> dict[str, Any]:
    """The fine-tuning pipeline as its publisher declares it: inputs, outputs and nodes."""
    document: dict[str, Any] = json.loads((_CATALOGUE / "chat_completion_pipeline.json").read_text())
    return document


@cache
def _models() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((_CATALOGUE / "models.json").read_text())
    document.pop("source")
    return document


def component_id() -> str:
    """The id under which jobs name the fine-tuning pipeline."""
    spec = pipeline_component()
    return f"azureml://registries/{NAME}/components/{spec['name']}/versions/{spec['version']}"


def model_ids() -> set[str]:
    """Ids of the base models, archived or not: an archived one still works for those who name it."""
    return {
        f"azureml://registries/{NAME}/models/{name}/versions/{model['version']}"
        for name, model in _models().items()
    }


def context_window(cloud: Cloud, model_id: str) -> int | None:
    """Tokens that a base model takes; None for a model that is not in the catalogue."""
    for name, model in _models().items():
        if model_id == f"azureml://registries/{NAME}/models/{name}/versions/{model['version']}":
            facts = model[cloud.settings.catalogue]
            told = facts["tags"].get("textContextWindow") or facts["system_metadata"]["textContextWindow"]
            return int(told)
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _model(cloud: Cloud, name: str) -> dict[str, Any]:
    version = _models()[name]["version"]
    facts = _models()[name][cloud.settings.catalogue]
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
        "id": f"azureml://registries/{NAME}/models/{name}/versions/{version}",
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


def _discovery(cloud: Cloud, call: Call) -> Answer:
    """Of the public registry, and of the one that may be written to."""
    settings = cloud.settings
    if call["registry"] not in (NAME, settings.registry):
        raise registry_error(call["registry"], settings.location, wire_time(cloud.clock.now()))
    return json_answer(
        {
            "registryId": "00000000-0000-0000-0000-0000000000ff",
            "registryName": call["registry"],
            "tenantId": settings.tenant,
            "primaryRegion": settings.location,
            "regions": [settings.location],
            "subscriptionId": settings.subscription,
            "resourceGroup": settings.registry_resource_group,
            "workspaceName": None,
            "primaryRegionResourceProviderUri": f"{call.base}/",
            "registryFqdns": {settings.location: {"uri": call.base}},
            "intellectualPropertyPublisher": None,
        }
    )


def _list_models(cloud: Cloud, call: Call) -> Answer:
    """Archived versions are left out; an unknown name is an empty list here, not 404."""
    known = call["model"] in _models()
    models = [_model(cloud, call["model"])] if known else []
    return json_answer({"value": [model for model in models if not model["properties"]["isArchived"]]})


def _get_model(cloud: Cloud, call: Call) -> Answer:
    name, version = call["model"], call["version"]
    if name not in _models() or version != _models()[name]["version"]:
        raise cloud.not_found("ModelNotFound", f"Model with name: {name} and version: {version} not found.")
    return json_answer(_model(cloud, name))


def _list_components(cloud: Cloud, call: Call) -> Answer:
    del cloud
    known = call["component"] == pipeline_component()["name"]
    return json_answer({"value": [_component()] if known else []})


def _get_component(cloud: Cloud, call: Call) -> Answer:
    """The component at its one version, also by the default one."""
    spec = pipeline_component()
    name, version = call["component"], call["version"]
    if name != spec["name"] or version not in (spec["version"], DEFAULT_VERSION):
        raise cloud.not_found(
            "ComponentNotFound", f"Component with name: {name} and version: {version} not found."
        )
    return json_answer(_component())


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
    Route("registry.get_model", "GET", f"{_MODELS}/{{version}}", _get_model, Plane.REGISTRY, Evidence.DRIVEN),
    Route("registry.list_components", "GET", _COMPONENTS, _list_components, Plane.REGISTRY, Evidence.DRIVEN),
    Route(
        "registry.get_component",
        "GET",
        f"{_COMPONENTS}/{{version}}",
        _get_component,
        Plane.REGISTRY,
        Evidence.DRIVEN,
    ),
)
