"""The public registry's own facts, as the emulator's catalogue keeps them, in the wire's form."""

from __future__ import annotations

from typing import Any

from azureml_emulator import base_models, pipeline_component

COMPONENT = pipeline_component()
MODELS = base_models()
PHI_3 = "Phi-3-mini-4k-instruct"


def component_body() -> dict[str, Any]:
    """The component as the data plane sends it: scalars are strings."""
    inputs = {
        name: {key: value if isinstance(value, list) else str(value) for key, value in port.items()}
        for name, port in COMPONENT["inputs"].items()
    }
    version = COMPONENT["version"]
    return {
        "id": f"azureml://registries/azureml/components/{COMPONENT['name']}/versions/{version}",
        "name": version,
        "properties": {"componentSpec": {"name": COMPONENT["name"], "version": version, "inputs": inputs}},
    }


def model_body(month: str, name: str = PHI_3, *, quote: Any = repr) -> dict[str, Any]:
    """A model version as the data plane sends it; `quote` spells lists and dicts in tags."""
    facts = MODELS[name][month]
    tags = {key: value if isinstance(value, str) else quote(value) for key, value in facts["tags"].items()}
    properties = {"tags": tags, "isArchived": facts["archived"]}
    if "system_metadata" in facts:
        properties["system_metadata"] = facts["system_metadata"]
    version = MODELS[name]["version"]
    return {
        "id": f"azureml://registries/azureml/models/{name}/versions/{version}",
        "name": version,
        "properties": properties,
    }
