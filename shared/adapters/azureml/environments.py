"""Workspace environments that deployments run in: versions are made once and never change."""

from __future__ import annotations

from shared.adapters.azureml.arm import Arm, WorkspaceId
from shared.domain.serving.deployment import ENVIRONMENT_NAME, ServingEnvironment

ENVIRONMENT_VERSION = "2023-04-01-preview"


class AzureMlEnvironments:
    """Environments of the workspace; the body is azure-ai-ml 1.35.2's for `Environment`."""

    def __init__(self, arm: Arm, workspace_id: WorkspaceId) -> None:
        self._arm = arm
        self._root = f"{workspace_id.path}/environments/{ENVIRONMENT_NAME}/versions"

    def ensure(self, environment: ServingEnvironment) -> str:
        """See `Endpoints.ensure_environment`."""
        identifier = f"{self._root}/{environment.version}"
        doing = f"creating the environment of image {environment.image}"
        found = self._arm.get(
            identifier,
            lambda body: str(body["properties"]["image"]),
            api_version=ENVIRONMENT_VERSION,
            doing=doing,
        )
        if found is None:
            properties = {
                "image": environment.image,
                "isAnonymous": False,
                "isArchived": False,
                "inferenceConfig": environment.routes,
            }
            self._arm.put(
                identifier, {"properties": properties}, api_version=ENVIRONMENT_VERSION, doing=doing
            )
        return identifier
