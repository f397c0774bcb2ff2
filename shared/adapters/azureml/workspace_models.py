"""Models of the workspace itself, as base models: a custom one, or one that an earlier run has trained."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from shared.adapters.azureml.arm import Arm, WorkspaceId
from shared.domain.errors import AbsentError
from shared.domain.training.base_model import BaseModel, parse_base_model

MODEL_VERSION = "2023-08-01-preview"
"""The api-version that azure-ai-ml 1.35.2 asks for models with."""


class WorkspaceModels:
    """Reads registered models over ARM, whose description of a version has the form of a registry's."""

    def __init__(self, arm: Arm, workspace: WorkspaceId) -> None:
        self._arm, self._workspace = arm, workspace

    def base_model(self, name: str, version: str | None) -> BaseModel:
        """A model's newest version, or the one that is named.

        Raises:
            AbsentError: The workspace has no such model.
        """
        address = f"{self._workspace.path}/models/{quote(name, safe='')}/versions"

        def read(body: Any) -> BaseModel:
            return parse_base_model(name, str(body["name"]), body)

        if version is None:
            version = self._newest(address, name)
        found = version and self._arm.get(
            f"{address}/{quote(version, safe='')}",
            read,
            api_version=MODEL_VERSION,
            doing=f"reading model {name}:{version} of the workspace",
        )
        if not found:
            which = f"version {version} of model {name}" if version else f"model {name}"
            raise AbsentError(
                f"workspace {self._workspace.workspace} has no {which}: check BASE_MODEL",
                code="ModelNotFound",
            )
        return found

    def _newest(self, address: str, name: str) -> str | None:
        newest = self._arm.get(
            address,
            lambda listed: [str(version["name"]) for version in listed["value"]],
            api_version=MODEL_VERSION,
            doing=f"looking up model {name} of the workspace",
            **{"$orderBy": "createdtime desc", "$top": "1"},
        )
        return newest[0] if newest else None
