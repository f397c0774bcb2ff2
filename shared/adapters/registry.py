"""The model and component registry, read through its data plane.

azure-ai-ml's model entity carries neither `isArchived` nor `system_metadata`, which preflight needs,
so that the same two GETs that the SDK makes are made here (api-version and addresses as azure-ai-ml
1.35.2 sends them).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from shared.adapters.arm import Arm
from shared.domain.base_model import BaseModel, parse_base_model
from shared.domain.component import Component, parse_component
from shared.domain.errors import InvalidRunError

DISCOVERY_VERSION = "v1.0"
DATA_PLANE_VERSION = "2021-10-01-dataplanepreview"


class AzureMlRegistry:
    """One registry, e.g. `azureml`, Microsoft's own."""

    def __init__(self, arm: Arm, discovery_url: str, name: str) -> None:
        self._arm = arm
        self._discovery_url = discovery_url.rstrip("/")
        self._name = name
        self._root: str | None = None

    def base_model(self, name: str) -> BaseModel:
        """See `Registry.base_model`."""
        bare, _, version = name.partition(":")
        body = self._version("models", bare, version) if version else self._latest("models", bare)
        if body is None:
            which = f"version {version} of model {bare}" if version else f"model {bare}"
            raise InvalidRunError(
                f"registry {self._name} has no {which}: check BASE_MODEL. An archived model is found "
                "only by its version, as `<name>:<version>`",
                code="ModelNotFound",
            )
        return parse_base_model(bare, str(body["name"]), body)

    def component(self, name: str) -> Component:
        """See `Registry.component`."""
        body = self._latest("components", name)
        if body is None:
            raise InvalidRunError(
                f"registry {self._name} has no component {name}: check AZUREML_REGISTRY",
                code="ComponentNotFound",
            )
        return parse_component(body)

    def _latest(self, kind: str, name: str) -> dict[str, Any] | None:
        listed = self._arm.get(
            f"{self._address()}/{kind}/{quote(name, safe='')}/versions",
            api_version=DATA_PLANE_VERSION,
            doing=f"looking up {kind[:-1]} {name} in registry {self._name}",
            **{"$orderBy": "createdtime desc", "$top": "1"},
        )
        versions = (listed or {}).get("value") or []
        if not versions:
            return None
        # A list may be abridged; the version itself is not.
        return self._version(kind, name, str(versions[0]["name"])) or versions[0]

    def _version(self, kind: str, name: str, version: str) -> dict[str, Any] | None:
        body: dict[str, Any] | None = self._arm.get(
            f"{self._address()}/{kind}/{quote(name, safe='')}/versions/{quote(version, safe='')}",
            api_version=DATA_PLANE_VERSION,
            doing=f"reading {kind[:-1]} {name}:{version} of registry {self._name}",
        )
        return body

    def _address(self) -> str:
        if self._root is None:
            found = self._arm.get(
                f"{self._discovery_url}/registrymanagement/v1.0/registries/{self._name}/discovery",
                api_version=DISCOVERY_VERSION,
                doing=f"finding registry {self._name}",
            )
            if found is None:
                raise InvalidRunError(
                    f"there is no registry {self._name}: check AZUREML_REGISTRY",
                    code="RegistryNotFound",
                )
            self._root = (
                f"{found['primaryRegionResourceProviderUri'].rstrip('/')}/mferp/managementfrontend"
                f"/subscriptions/{found['subscriptionId']}/resourceGroups/{found['resourceGroup']}"
                f"/providers/Microsoft.MachineLearningServices/registries/{self._name}"
            )
        return self._root
