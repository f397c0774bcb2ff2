"""Online endpoints and their deployment, over ARM. Operations are started here and observed later.

Bodies and api-versions are those that azure-ai-ml 1.35.2 sends for `ManagedOnlineEndpoint` and
`ManagedOnlineDeployment`; a test holds them equal to the SDK's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.adapters.azureml.arm import Arm, WorkspaceId
from shared.adapters.azureml.deployment_body import deployment_body
from shared.adapters.azureml.environments import AzureMlEnvironments
from shared.adapters.azureml.workspace import AzureMlWorkspace
from shared.adapters.http.response_parsing import is_retryable
from shared.adapters.sdk_errors import service_error
from shared.domain.errors import FinetuneError
from shared.domain.run.names import INSTALLATION_TAG, RUN_TAG
from shared.domain.run.observation import DeploymentStatus, EndpointStatus, Provisioning, provisioning
from shared.domain.serving.deployment import (
    ALL_TRAFFIC,
    BASE_DEPLOYMENT,
    DEPLOYMENT,
    Deployment,
    ServingEnvironment,
)

ENDPOINT_VERSION = "2022-02-01-preview"
DEPLOYMENT_VERSION = "2023-04-01-preview"

AUTH_MODES = {"aad_token": "AADToken", "key": "Key"}


class AzureMlEndpoints:
    """Endpoints of the workspace."""

    def __init__(
        self,
        arm: Arm,
        workspace_id: WorkspaceId,
        workspace: AzureMlWorkspace,
        *,
        installation: str,
    ) -> None:
        self._arm = arm
        self._installation = installation
        self._root = f"{workspace_id.path}/onlineEndpoints"
        self._workspace = workspace
        self._environments = AzureMlEnvironments(arm, workspace_id)

    def endpoint(self, name: str, run_id: str, *, base: bool = False) -> EndpointStatus | None:
        """See `Endpoints.endpoint`."""
        found = self._arm.get(
            f"{self._root}/{name}",
            lambda body: _read_endpoint(body, (run_id, self._installation)),
            api_version=ENDPOINT_VERSION,
            doing=f"looking at endpoint {name}",
        )
        if found is None:
            return None
        seen, operation = found
        if seen.foreign:
            return seen
        there = seen.state is not Provisioning.DELETING
        return seen._replace(
            deployment=self._deployment(name, DEPLOYMENT) if there else None,
            base=self._deployment(name, BASE_DEPLOYMENT) if there and base else None,
            failure=self._failure(operation) if seen.state is Provisioning.FAILED else None,
        )

    def create(self, name: str, *, auth_mode: str, tags: Mapping[str, str]) -> None:
        """See `Endpoints.create`."""
        ours = {**tags, INSTALLATION_TAG: self._installation}
        body = endpoint_body(self._workspace.location, auth_mode, ours, {})
        self._put(name, body, f"creating endpoint {name}")

    def ensure_environment(self, environment: ServingEnvironment) -> str:
        """See `Endpoints.ensure_environment`."""
        return self._environments.ensure(environment)

    def deploy(
        self,
        name: str,
        deployment: Deployment,
        *,
        environment_id: str | None,
        model_id: str,
        instance_type: str,
        instance_count: int,
        slot: str = DEPLOYMENT,
    ) -> None:
        """See `Endpoints.deploy`."""
        body = deployment_body(
            deployment,
            location=self._workspace.location,
            environment_id=environment_id,
            model_id=model_id,
            instance_type=instance_type,
            instance_count=instance_count,
        )
        self._arm.put(
            f"{self._root}/{name}/deployments/{slot}",
            body,
            api_version=DEPLOYMENT_VERSION,
            doing=f"deploying to endpoint {name}",
        )

    def delete_deployment(self, name: str, *, slot: str = DEPLOYMENT) -> None:
        """See `Endpoints.delete_deployment`."""
        self._arm.delete(
            f"{self._root}/{name}/deployments/{slot}",
            api_version=DEPLOYMENT_VERSION,
            doing=f"deleting the deployment of endpoint {name}",
        )

    def route_traffic(self, name: str) -> None:
        """See `Endpoints.route_traffic`."""
        doing = f"routing traffic of endpoint {name}"
        changed = self._arm.get(
            f"{self._root}/{name}", _with_all_traffic, api_version=ENDPOINT_VERSION, doing=doing
        )
        if changed is not None:
            self._put(name, changed, doing)

    def delete(self, name: str) -> None:
        """See `Endpoints.delete`."""
        self._arm.delete(
            f"{self._root}/{name}", api_version=ENDPOINT_VERSION, doing=f"deleting endpoint {name}"
        )

    def list_owned(self) -> Iterable[tuple[str, str]]:
        """See `Endpoints.list_owned`."""
        listed = self._arm.get_all(
            self._root, _read_tags, api_version=ENDPOINT_VERSION, doing="listing endpoints"
        )
        for name, run_id, installation in listed:
            # Another installation may share the workspace; its endpoints are its own to keep or to remove.
            if run_id and installation == self._installation:
                yield name, run_id

    def key(self, name: str) -> str | None:
        """The endpoint's primary key, or None if there is no such endpoint."""
        return self._arm.post(
            f"{self._root}/{name}/listKeys",
            lambda keys: str(keys["primaryKey"]),
            api_version=ENDPOINT_VERSION,
            doing=f"reading the key of endpoint {name}",
        )

    def _deployment(self, name: str, slot: str) -> DeploymentStatus | None:
        found = self._arm.get(
            f"{self._root}/{name}/deployments/{slot}",
            _read_deployment,
            api_version=DEPLOYMENT_VERSION,
            doing=f"looking at the deployment of endpoint {name}",
        )
        if found is None:
            return None
        seen, operation = found
        failure = self._failure(operation) if seen.state is Provisioning.FAILED else None
        return seen._replace(failure=failure)

    def _put(self, name: str, body: Mapping[str, Any], doing: str) -> None:
        self._arm.put(f"{self._root}/{name}", body, api_version=ENDPOINT_VERSION, doing=doing)

    def _failure(self, operation: str | None) -> str | None:
        if operation is None:
            return None
        try:
            return self._arm.get_url(
                operation, lambda status: service_error(status)[1], doing="reading why an operation failed"
            )
        except FinetuneError as fault:
            if is_retryable(fault):
                raise
            # An operation is forgotten after a while, and may be closed to us: that it failed is enough.
            return None


def _read_endpoint(body: Any, owner: tuple[str, str]) -> tuple[EndpointStatus, str | None]:
    facts = body["properties"]
    state, operation = _read_state(body)
    shares = {key: int(share) for key, share in (facts.get("traffic") or {}).items()}
    uri = facts.get("scoringUri")
    seen = EndpointStatus(
        state=state,
        scoring_uri=str(uri) if uri else None,
        traffic={key: share for key, share in shares.items() if share},
        foreign=_read_tags(body)[1:] != owner,
        public=str(facts.get("publicNetworkAccess") or "Enabled").lower() == "enabled",
        auth_mode=_AUTH_MODES.get(str(facts.get("authMode")).lower()),
        mirrored=tuple(
            sorted(name for name, share in (facts.get("mirrorTraffic") or {}).items() if int(share))
        ),
    )
    return seen, operation


_AUTH_MODES = {"key": "key", "amltoken": "aml_token", "aadtoken": "aad_token"}


def _read_deployment(body: Any) -> tuple[DeploymentStatus, str | None]:
    facts = body["properties"]
    state, operation = _read_state(body)
    model, size = facts.get("model"), facts.get("instanceType")
    instances = (body.get("sku") or {}).get("capacity")
    seen = DeploymentStatus(
        state=state,
        model=str(model) if model else None,
        instance_type=str(size) if size else None,
        instances=int(instances) if instances is not None else None,
    )
    return seen, operation


def _read_state(body: Any) -> tuple[Provisioning, str | None]:
    """A resource's state, and its last operation: a resource says only that it failed, not why."""
    facts = body["properties"]
    operation = (facts.get("properties") or {}).get("AzureAsyncOperationUri")
    return provisioning(facts.get("provisioningState")), str(operation) if operation else None


def _read_tags(body: Any) -> tuple[str, str, str]:
    tags = body.get("tags") or {}
    return str(body["name"]), str(tags.get(RUN_TAG) or ""), str(tags.get(INSTALLATION_TAG) or "")


def _with_all_traffic(body: Any) -> dict[str, Any]:
    """The PUT of an endpoint as it is, but for its traffic."""
    facts = body["properties"]
    changed = endpoint_body(body["location"], facts["authMode"], body.get("tags") or {}, ALL_TRAFFIC)
    if "publicNetworkAccess" in facts:
        # A PUT replaces: an endpoint that a policy has closed to the public must stay closed.
        changed["properties"]["publicNetworkAccess"] = facts["publicNetworkAccess"]
    return changed


def endpoint_body(
    location: str,
    auth_mode: str,
    tags: Mapping[str, str],
    traffic: Mapping[str, int],
) -> dict[str, Any]:
    """The PUT of an endpoint; `auth_mode` in the app's spelling or in the service's."""
    return {
        "location": location,
        "identity": {"type": "SystemAssigned"},
        "tags": dict(tags),
        "properties": {
            "authMode": AUTH_MODES.get(auth_mode, auth_mode),
            "properties": {},
            "traffic": dict(traffic),
            "mirrorTraffic": {},
        },
    }
