"""Families of versioned assets, and how a version is named and found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from azureml_emulator.core.resources import AssetVersion
from azureml_emulator.core.state import EmulatorState


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of asset.

    Attributes:
        segment: Its part of the path.
        noun: How errors call it.
        uri: The property that holds its address, where it has one.
        defaults: What the service adds to what was sent.
        contents: Properties of a version that cannot change; on 409 azure-ai-ml uses the next version.
    """

    segment: str
    noun: str
    uri: str | None
    defaults: dict[str, Any]
    contents: tuple[str, ...] = ()


_COMMON: dict[str, Any] = {
    "description": None,
    "tags": {},
    "properties": {},
    "isArchived": False,
    "isAnonymous": False,
}
DATA = Family(
    "data",
    "Data",
    "dataUri",
    {**_COMMON, "autoDeleteSetting": None, "stage": None, "intellectualProperty": None},
)
MODEL = Family(
    "models",
    "Model",
    "modelUri",
    {
        **_COMMON,
        "autoDeleteSetting": None,
        "flavors": {},
        "modelType": "custom_model",
        "jobName": None,
        "provisioningState": "Succeeded",
        "intellectualProperty": None,
    },
)
COMPONENT = Family("components", "Component", None, {**_COMMON, "provisioningState": "Succeeded"})
ENVIRONMENT = Family(
    "environments",
    "Environment",
    None,
    {**_COMMON, "provisioningState": "Succeeded"},
    contents=("image", "condaFile", "build", "osType", "inferenceConfig"),
)
CODE = Family("codes", "Code", "codeUri", {**_COMMON, "provisioningState": "Succeeded"})
FAMILIES = (DATA, MODEL, COMPONENT, ENVIRONMENT, CODE)


def key(family: str, name: str, version: str) -> str:
    """The key of a version in its table."""
    return f"{family}/{name}/{version}"


def arm_id(state: EmulatorState, asset: AssetVersion) -> str:
    """The version's Azure Resource Manager id."""
    return f"{state.settings.workspace_arm_id}/{asset.family}/{asset.name}/versions/{asset.version}"


def by_id(state: EmulatorState, family: Family, identifier: str) -> AssetVersion | None:
    """The version that an ARM id, a registry id or ``azureml:name:version`` names, if it exists."""
    segment = family.segment
    found = re.fullmatch(rf"azureml://registries/([^/]+)/{segment}/([^/]+)/versions/([^/]+)", identifier)
    if found:
        return state.assets.get(key(f"registries/{found[1]}/{segment}", found[2], found[3]))
    found = re.search(rf"/{segment}/([^/]+)/versions/([^/]+)$", identifier) or re.fullmatch(
        r"azureml:([^:/]+):([^:/]+)", identifier
    )
    return state.assets.get(key(segment, found[1], found[2])) if found else None
