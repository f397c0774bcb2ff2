"""What the public registries publish: the fine-tuning component and the base models."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from azureml_emulator.core.state import EmulatorState

PUBLIC_REGISTRY_NAME = "azureml"
PUBLISHED_REGISTRIES = (PUBLIC_REGISTRY_NAME, "azureml-openai-oss")
DEFAULT_COMPONENT_VERSION = "azureml_default"
"""What azure-ai-ml asks for when no version of a component is named."""

FINETUNE_CONFIG = "finetune_config_path"
"""The one input that `chat_completion_pipeline` has since 0.0.82."""

_CATALOGUE = Path(__file__).parent / "catalogue_data"


class BaseModel(NamedTuple):
    """What jobs and containers need to know of a base model.

    Attributes:
        mlflow: Whether it is an MLflow model, not a folder of weights.
        architecture: Of its ``config.json``.
        context: Tokens that it takes.
        base_image_tag: Tag of the inference image that its MLmodel names, if it names one.
        finetune_config: The fine-tune configuration that it brings along.
    """

    mlflow: bool
    architecture: str
    context: int
    base_image_tag: int | None
    finetune_config: dict[str, Any]


@cache
def pipeline_component() -> dict[str, Any]:
    """The fine-tuning pipeline as its publisher declares it: inputs, outputs and nodes (version 0.0.82)."""
    document: dict[str, Any] = json.loads((_CATALOGUE / "chat_completion_pipeline.json").read_text())
    return document


def offered_component(state: EmulatorState) -> dict[str, Any]:
    """The fine-tuning pipeline in the version that the registry has."""
    spec, version = pipeline_component(), state.switches.component_version
    if version == spec["version"]:
        return spec
    inputs = {name: port for name, port in spec["inputs"].items() if name != FINETUNE_CONFIG}
    return {**spec, "version": version, "inputs": inputs}


@cache
def base_models() -> dict[str, Any]:
    """The base models by name: their registry and version, and their facts by month."""
    document: dict[str, Any] = json.loads((_CATALOGUE / "models.json").read_text())
    document.pop("source")
    return document


def component_id(state: EmulatorState) -> str:
    """The id under which jobs name the fine-tuning pipeline."""
    spec = offered_component(state)
    return f"azureml://registries/{PUBLIC_REGISTRY_NAME}/components/{spec['name']}/versions/{spec['version']}"


def model_id(name: str) -> str:
    """The id of a base model."""
    model = base_models()[name]
    return f"azureml://registries/{model['registry']}/models/{name}/versions/{model['version']}"


def model_ids() -> set[str]:
    """Ids of the base models, archived or not: an archived one still works for those who name it."""
    return {model_id(name) for name in base_models()}


def base_model(state: EmulatorState, identifier: str) -> BaseModel | None:
    """The facts of a published base model; None for an id that no registry publishes."""
    for name, model in base_models().items():
        if identifier == model_id(name):
            facts = model[state.catalogue]
            told = facts["tags"].get("textContextWindow") or facts["system_metadata"]["textContextWindow"]
            tag = state.switches.phi4_base_image if name == "Phi-4" else model["base_image_tag"]
            return BaseModel(
                mlflow=model["type"] == "mlflow_model",
                architecture=model["architecture"],
                context=int(told),
                base_image_tag=tag,
                finetune_config=model.get("finetune_config", {}),
            )
    return None
