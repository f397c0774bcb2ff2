"""What the public registry publishes: the fine-tuning component and the base models."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from azureml_emulator.core.state import EmulatorState

PUBLIC_REGISTRY_NAME = "azureml"
DEFAULT_COMPONENT_VERSION = "azureml_default"
"""What azure-ai-ml asks for when no version of a component is named."""

_CATALOGUE = Path(__file__).parent / "catalogue_data"


@cache
def pipeline_component() -> dict[str, Any]:
    """The fine-tuning pipeline as its publisher declares it: inputs, outputs and nodes."""
    document: dict[str, Any] = json.loads((_CATALOGUE / "chat_completion_pipeline.json").read_text())
    return document


@cache
def base_models() -> dict[str, Any]:
    """The base models by name: their version, and their facts by month."""
    document: dict[str, Any] = json.loads((_CATALOGUE / "models.json").read_text())
    document.pop("source")
    return document


def component_id() -> str:
    """The id under which jobs name the fine-tuning pipeline."""
    spec = pipeline_component()
    return f"azureml://registries/{PUBLIC_REGISTRY_NAME}/components/{spec['name']}/versions/{spec['version']}"


def model_ids() -> set[str]:
    """Ids of the base models, archived or not: an archived one still works for those who name it."""
    return {
        f"azureml://registries/{PUBLIC_REGISTRY_NAME}/models/{name}/versions/{model['version']}"
        for name, model in base_models().items()
    }


def context_window(state: EmulatorState, model_id: str) -> int | None:
    """Tokens that a base model takes; None for a model that is not in the catalogue."""
    for name, model in base_models().items():
        if (
            model_id
            == f"azureml://registries/{PUBLIC_REGISTRY_NAME}/models/{name}/versions/{model['version']}"
        ):
            facts = model[state.settings.catalogue]
            told = facts["tags"].get("textContextWindow") or facts["system_metadata"]["textContextWindow"]
            return int(told)
    return None
