"""Which image runs a deployment: its environment's, the one that the model's metadata names, or MLflow's own.

Tags and their contents are those of Azure/azureml-assets 4b41f8c (``assets/training/model_management`` and
``assets/inference``, environments).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from azureml_emulator.core.asset_families import ENVIRONMENT, by_id
from azureml_emulator.core.request_bodies import InferenceConfig
from azureml_emulator.core.resources import Deployment
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.serving.model_folder import ModelFolder

FOUNDATION_MODEL = "foundation-model-inference"
NEWEST_FOUNDATION_MODEL = 94
CURATED = "mcr.microsoft.com/azureml/curated/"
VENDORED_COLLECTOR = 25
"""The last MLflow inference image that has the data collector's code in itself."""

_REGISTRY_ENVIRONMENT = re.compile(
    rf"azureml://registries/azureml/environments/{FOUNDATION_MODEL}/(?:versions/(\d+)|labels/latest)"
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image and how the platform talks to it.

    Attributes:
        name: Repository without the registry; empty for an MLflow model without an environment.
        tag: Its number; 0 if it has none.
        custom: Whether it comes from an environment, so that its ports and paths are the deployment's choice.
    """

    name: str
    tag: int
    custom: bool = False
    inference: InferenceConfig = field(default_factory=InferenceConfig)

    @property
    def foundation_model(self) -> bool:
        """Whether it serves with vLLM."""
        return self.name == FOUNDATION_MODEL


def registry_environment(identifier: str) -> Image | None:
    """The image of an environment of the public registry; None for another id."""
    found = _REGISTRY_ENVIRONMENT.fullmatch(identifier)
    if found is None:
        return None
    return Image(FOUNDATION_MODEL, int(found[1] or NEWEST_FOUNDATION_MODEL), custom=True)


def environment_image(state: EmulatorState, identifier: str) -> Image | None:
    """The image of a deployment's environment; None if there is no such environment."""
    published = registry_environment(identifier)
    if published is not None:
        return published if state.switches.registry_environment else None
    asset = by_id(state, ENVIRONMENT, identifier)
    if asset is None:
        return None
    given = asset.properties.get("inferenceConfig") or {}
    name, tag = _parsed(str(asset.properties.get("image") or ""))
    return Image(name, tag, custom=True, inference=msgspec.convert(given, InferenceConfig))


def image_of(state: EmulatorState, deployment: Deployment, folder: ModelFolder) -> Image:
    """The image that runs a deployment."""
    environment = deployment.properties.get("environmentId")
    if environment:
        return environment_image(state, environment) or Image("", 0, custom=True)
    named = folder.metadata.get("azureml.base_image")
    if isinstance(named, str) and state.switches.score_script == "current":
        name, tag = _parsed(named)
        if name == FOUNDATION_MODEL:
            return Image(name, tag)
    return Image("", 0)


def scoring_path(state: EmulatorState, properties: dict[str, Any]) -> str:
    """The path of a deployment's scoring route: that of its environment, or ``/score``."""
    environment = properties.get("environmentId")
    image = environment_image(state, environment) if environment else None
    route = image.inference.scoringRoute if image else None
    return route.path if route else "/score"


def _parsed(image: str) -> tuple[str, int]:
    repository, _, tag = image.removeprefix(CURATED).partition(":")
    return repository, int(tag) if tag.isdigit() else 0
