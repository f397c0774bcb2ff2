"""Azure Resource Manager and Azure ML's data planes over azure-core's own pipeline.

Long-running operations go this way because azure-ai-ml starts a polling thread for each of them and
waits: an invocation here must do neither (see docs/decisions). The pipeline is thread-safe.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, map_error
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    DistributedTracingPolicy,
    HeadersPolicy,
    RequestIdPolicy,
    RetryPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpRequest, HttpResponse

from shared.adapters.retries import CALL_RETRIES, TOKEN_RETRIES, BriefTransport
from shared.adapters.sdk_errors import is_absent, translated
from shared.domain.errors import TransientServiceError

USER_AGENT = "finetune-on-upload"
PUBLIC_ARM = "https://management.azure.com/"
PUBLIC_REGISTRY_DISCOVERY = "https://eastus.api.azureml.ms/"

CONNECT_SECONDS = 10
READ_SECONDS = 60


class WorkspaceId(NamedTuple):
    """The three names that identify an Azure ML workspace."""

    subscription: str
    resource_group: str
    workspace: str

    @property
    def path(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )


class Arm:
    """JSON in, JSON out, errors translated."""

    def __init__(self, credential: TokenCredential, base_url: str, scope: str) -> None:
        self._base_url = base_url.rstrip("/")
        policies = [
            RequestIdPolicy(),
            HeadersPolicy({"Accept": "application/json"}),
            UserAgentPolicy(USER_AGENT),
            RetryPolicy(**CALL_RETRIES),
            BearerTokenCredentialPolicy(credential, scope),
            DistributedTracingPolicy(),
        ]
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(base_url, policies=policies)

    def get(self, path: str, *, api_version: str, doing: str, **query: str) -> Any | None:
        """GET a resource; None if there is none."""
        return self._send("GET", path, api_version, None, doing, query, absent_is_none=True)

    def get_all(self, path: str, *, api_version: str, doing: str) -> list[Any]:
        """GET a collection, following `nextLink` to its end."""
        items: list[Any] = []
        page = self.get(path, api_version=api_version, doing=doing) or {}
        while True:
            items.extend(page.get("value") or ())
            if not page.get("nextLink"):
                return items
            page = self.get_url(page["nextLink"], doing=doing) or {}

    def get_url(self, url: str, *, doing: str) -> Any | None:
        """GET an absolute address that the service itself gave (next page, operation status)."""
        return self._send("GET", url, None, None, doing, {}, absent_is_none=True)

    def put(self, path: str, body: Mapping[str, Any], *, api_version: str, doing: str) -> Any:
        """PUT a resource and return the first answer, without waiting for what it started."""
        return self._send("PUT", path, api_version, body, doing, {})

    def post(
        self,
        path: str,
        *,
        api_version: str,
        doing: str,
        body: Mapping[str, Any] | None = None,
    ) -> Any | None:
        """POST an action; None if the resource is absent or the answer is empty."""
        return self._send("POST", path, api_version, body, doing, {}, absent_is_none=True)

    def delete(self, path: str, *, api_version: str, doing: str) -> None:
        """Start deleting a resource; absence is success."""
        self._send("DELETE", path, api_version, None, doing, {}, absent_is_none=True)

    def _send(
        self,
        method: str,
        url: str,
        api_version: str | None,
        body: Mapping[str, Any] | None,
        doing: str,
        query: Mapping[str, str],
        *,
        absent_is_none: bool = False,
    ) -> Any:
        parameters = {**({"api-version": api_version} if api_version else {}), **query}
        request = HttpRequest(method, self._absolute(url), params=parameters, json=body)
        with translated(doing):
            try:
                response = self._client.send_request(
                    request,
                    connection_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                )
                if response.status_code >= 400:
                    map_error(response.status_code, response, {})
                    raise HttpResponseError(response=response)
            except HttpResponseError as fault:
                if absent_is_none and is_absent(fault):
                    return None
                raise
            try:
                return response.json() if response.content else None
            except ValueError as fault:
                # A proxy's page, or an answer that was cut short.
                raise TransientServiceError(
                    f"{doing}: the answer is not JSON", code="InvalidAnswer"
                ) from fault

    def _absolute(self, url: str) -> str:
        return url if url.startswith("https://") else f"{self._base_url}{url}"


def arm_base_url(environment: Mapping[str, str] = os.environ) -> str:
    """Find Azure Resource Manager the way azure-ai-ml does.

    `ARM_CLOUD_METADATA_URL`, where set, lists the clouds; `AZUREML_CURRENT_CLOUD` names one of them,
    otherwise the first is taken. Without it, this is Azure's public cloud.
    """
    metadata_url = environment.get("ARM_CLOUD_METADATA_URL")
    if not metadata_url:
        return PUBLIC_ARM
    plain: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
        metadata_url,
        policies=[UserAgentPolicy(USER_AGENT), RetryPolicy(**TOKEN_RETRIES)],
        transport=BriefTransport(),
    )
    with translated("reading the cloud's metadata"), plain:
        response = plain.send_request(HttpRequest("GET", metadata_url))
        response.raise_for_status()
        clouds = response.json()
    listed = clouds if isinstance(clouds, list) else [clouds]
    wanted = environment.get("AZUREML_CURRENT_CLOUD")
    chosen = next((cloud for cloud in listed if cloud.get("name") == wanted), listed[0])
    return str(chosen["resourceManager"])


def registry_discovery_url(environment: Mapping[str, str] = os.environ) -> str:
    """Where registries are looked up; azure-ai-ml reads the same variable."""
    return environment.get("REGISTRY_DISCOVERY_ENDPOINT_URL") or PUBLIC_REGISTRY_DISCOVERY
