"""Fine-tune configurations: how they are merged, and what they make of the model that a job writes.

After Azure/azureml-assets 4b41f8c, ``assets/training/finetune_acft_hf_nlp``: ``src/model_selector`` merges,
``src/finetune/finetune.py`` decides on the inference image, ``src/model_converter`` on the requirements.
"""

from __future__ import annotations

import re
from typing import Any

Config = dict[str, Any]
IMAGE = "mcr.microsoft.com/azureml/curated/foundation-model-inference"
OLDEST_CHAT_TAG = 61
"""An older image of a chat model is replaced by this one."""


def merged(base: Config, over: Config) -> Config:
    """Both configurations; where both have a value, that of ``over``."""
    result = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if both else value
    return result


def for_chat(config: Config) -> Config:
    """A configuration without the nesting by task that version 2 has."""
    nested = config.get("task_specific_config")
    if isinstance(nested, dict) and isinstance(nested.get("ChatCompletion"), dict):
        return merged(config, nested["ChatCompletion"])
    return config


def base_image(config: Config, base: str | None) -> str | None:
    """The inference image that the trained model's metadata names, or None.

    Args:
        config: The merged configuration.
        base: The image that the base model's metadata names, if it names one.
    """
    if base is None or not _section(config, "inferencing_config").get("enable_vllm", False):
        return None
    tag = re.search(r":(\d+)$", base)
    if tag is None:
        return f"{IMAGE}:{OLDEST_CHAT_TAG}"
    return base if int(tag[1]) >= OLDEST_CHAT_TAG else f"{base[: tag.start()]}:{OLDEST_CHAT_TAG}"


def extra_requirements(config: Config) -> list[str]:
    """Requirements that the configuration adds to the model's own."""
    arguments = _section(_section(config, "mlflow_ft_conf"), "mlflow_save_model_kwargs")
    extra = arguments.get("extra_pip_requirements")
    return [str(line) for line in extra] if isinstance(extra, list) else []


def _section(config: Config, name: str) -> Config:
    found = config.get(name)
    return found if isinstance(found, dict) else {}
