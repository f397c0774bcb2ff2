"""The model and component registry, read through its data plane.

azure-ai-ml's model entity carries neither `isArchived` nor `system_metadata`, which preflight needs,
so that the same two GETs that the SDK makes are made here (api-version and addresses as azure-ai-ml
1.35.2 sends them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from shared.adapters.azureml.arm import Arm, WorkspaceId
from shared.adapters.azureml.workspace_models import WorkspaceModels
from shared.domain.errors import AbsentError
from shared.domain.training.base_model import BaseModel, hub_model, parse_base_model
from shared.domain.training.component import Component, parse_component
from shared.domain.training.model_reference import read_reference

T = TypeVar("T")

DISCOVERY_VERSION = "v1.0"
DATA_PLANE_VERSION = "2021-10-01-dataplanepreview"


class AzureMlRegistries:
    """The registries that base models and the component come from; see `Registry`."""

    def __init__(
        self, arm: Arm, discovery_url: str, *, models: str, components: str, workspace: WorkspaceId
    ) -> None:
        self._arm, self._discovery_url = arm, discovery_url
        self._workspace_models = WorkspaceModels(arm, workspace)
        self._models, self._components = models, components
        self._known: dict[str, AzureMlRegistry] = {}

    def base_model(self, name: str) -> BaseModel:
        """See `Registry.base_model`."""
        reference = read_reference(name)
        if reference.on_hub:
            return hub_model(reference.name)
        if reference.in_workspace:
            return self._workspace_models.base_model(reference.name, reference.version)
        return self._registry(reference.registry or self._models).base_model(
            reference.name, reference.version
        )

    def component(self, name: str) -> Component:
        """See `Registry.component`."""
        return self._registry(self._components).component(name)

    def _registry(self, name: str) -> AzureMlRegistry:
        if name not in self._known:
            self._known[name] = AzureMlRegistry(self._arm, self._discovery_url, name)
        return self._known[name]


class AzureMlRegistry:
    """One registry, e.g. `azureml`, Microsoft's own."""

    def __init__(self, arm: Arm, discovery_url: str, name: str) -> None:
        self._arm = arm
        self._discovery_url = discovery_url.rstrip("/")
        self._name = name
        self._root: str | None = None

    def base_model(self, bare: str, version: str | None) -> BaseModel:
        """A model's newest version, or the one that is named."""

        def read(body: Any) -> BaseModel:
            return parse_base_model(bare, str(body["name"]), body)

        found = (
            self._version("models", bare, version, read) if version else self._latest("models", bare, read)
        )
        if found is None:
            which = f"version {version} of model {bare}" if version else f"model {bare}"
            raise AbsentError(
                f"registry {self._name} has no {which}: check BASE_MODEL. An archived model is found "
                "only by its version, as `<name>:<version>`",
                code="ModelNotFound",
            )
        return found

    def component(self, name: str) -> Component:
        """The newest version of a component."""
        found = self._latest("components", name, parse_component)
        if found is None:
            raise AbsentError(
                f"registry {self._name} has no component {name}: check COMPONENT_REGISTRY",
                code="ComponentNotFound",
            )
        return found

    def _latest(self, kind: str, name: str, read: Callable[[Any], T]) -> T | None:
        newest = self._arm.get(
            f"{self._address()}/{kind}/{quote(name, safe='')}/versions",
            lambda listed: [str(version["name"]) for version in listed["value"]],
            api_version=DATA_PLANE_VERSION,
            doing=f"looking up {kind[:-1]} {name} in registry {self._name}",
            **{"$orderBy": "createdtime desc", "$top": "1"},
        )
        # A list may be abridged; the version itself is not.
        return self._version(kind, name, newest[0], read) if newest else None

    def _version(self, kind: str, name: str, version: str, read: Callable[[Any], T]) -> T | None:
        return self._arm.get(
            f"{self._address()}/{kind}/{quote(name, safe='')}/versions/{quote(version, safe='')}",
            read,
            api_version=DATA_PLANE_VERSION,
            doing=f"reading {kind[:-1]} {name}:{version} of registry {self._name}",
        )

    def _address(self) -> str:
        if self._root is None:
            self._root = self._arm.get(
                f"{self._discovery_url}/registrymanagement/v1.0/registries/{self._name}/discovery",
                self._read_root,
                api_version=DISCOVERY_VERSION,
                doing=f"finding registry {self._name}",
            )
            if self._root is None:
                raise AbsentError(
                    f"there is no registry {self._name}: check AZUREML_REGISTRY, COMPONENT_REGISTRY "
                    "and BASE_MODEL",
                    code="RegistryNotFound",
                )
        return self._root

    def _read_root(self, found: Any) -> str:
        return (
            f"{found['primaryRegionResourceProviderUri'].rstrip('/')}/mferp/managementfrontend"
            f"/subscriptions/{found['subscriptionId']}/resourceGroups/{found['resourceGroup']}"
            f"/providers/Microsoft.MachineLearningServices/registries/{self._name}"
        )
