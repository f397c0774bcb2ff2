"""Azure Resource Manager and Azure ML's data planes over azure-core's own pipeline.

Long-running operations go this way because azure-ai-ml starts a polling thread for each of them and
waits: an invocation here must do neither (see docs/decisions). The pipeline is thread-safe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

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

from shared.adapters.http.response_parsing import parse_response
from shared.adapters.http.transport import BriefTransport, GuardedTransport
from shared.adapters.http.trusted_hosts import TrustedHosts
from shared.adapters.retries import CALL_RETRIES, TOKEN_RETRIES
from shared.adapters.sdk_errors import is_absent, translated
from shared.domain.errors import TransientServiceError

USER_AGENT = "finetune-on-upload"
PUBLIC_ARM = "https://management.azure.com/"
PUBLIC_REGISTRY_DISCOVERY = "https://eastus.api.azureml.ms/"

T = TypeVar("T")

MOST_PAGES = 1_000
"""Pages of a list that are followed: a page that names itself as the next one has no end."""

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
    """JSON in, out what a caller makes of the answer; errors translated."""

    def __init__(self, credential: TokenCredential, base_url: str, scope: str, trusted: TrustedHosts) -> None:
        self._base_url = base_url.rstrip("/")
        policies = [
            RequestIdPolicy(),
            HeadersPolicy({"Accept": "application/json"}),
            UserAgentPolicy(USER_AGENT),
            RetryPolicy(**CALL_RETRIES),
            BearerTokenCredentialPolicy(credential, scope),
            DistributedTracingPolicy(),
        ]
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            base_url, policies=policies, transport=GuardedTransport(trusted)
        )

    def get(
        self, path: str, read: Callable[[Any], T], *, api_version: str, doing: str, **query: str
    ) -> T | None:
        """GET a resource and return what `read` makes of it; None if there is none."""
        return self._read("GET", path, read, doing, {"api-version": api_version, **query})

    def get_all(self, path: str, read: Callable[[Any], T], *, api_version: str, doing: str) -> list[T]:
        """GET a collection, following `nextLink` to its end, and return what `read` makes of each item."""

        def read_page(body: Any) -> tuple[list[T], str]:
            return [read(item) for item in body["value"]], str(body.get("nextLink") or "")

        items: list[T] = []
        page = self.get(path, read_page, api_version=api_version, doing=doing)
        for _ in range(MOST_PAGES):
            if page is None:
                return items
            found, following = page
            items.extend(found)
            page = self.get_url(following, read_page, doing=doing) if following else None
        raise TransientServiceError(f"{doing}: the list has over {MOST_PAGES} pages", code="EndlessList")

    def get_url(self, url: str, read: Callable[[Any], T], *, doing: str) -> T | None:
        """GET an absolute address that the service itself gave (next page, operation status)."""
        return self._read("GET", url, read, doing, {})

    def post_url(
        self, url: str, body: Mapping[str, Any], read: Callable[[Any], T], *, doing: str
    ) -> T | None:
        """POST a question to an absolute address that the service itself gave."""
        return self._read("POST", url, read, doing, {}, body)

    def post(self, path: str, read: Callable[[Any], T], *, api_version: str, doing: str) -> T | None:
        """POST for an answer and return what `read` makes of it; None if the resource is absent."""
        return self._read("POST", path, read, doing, {"api-version": api_version})

    def start(self, path: str, *, api_version: str, doing: str) -> None:
        """POST an action without waiting for what it started; absence is success."""
        self._begin("POST", path, api_version, doing, absent_is_none=True)

    def put(self, path: str, body: Mapping[str, Any], *, api_version: str, doing: str) -> None:
        """PUT a resource without waiting for what it started."""
        self._begin("PUT", path, api_version, doing, body)

    def delete(self, path: str, *, api_version: str, doing: str) -> None:
        """Start deleting a resource; absence is success."""
        self._begin("DELETE", path, api_version, doing, absent_is_none=True)

    def _read(
        self,
        method: str,
        url: str,
        read: Callable[[Any], T],
        doing: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
    ) -> T | None:
        content = self._send(method, url, doing, query, body, absent_is_none=True)
        return parse_response(content, read, doing) if content is not None else None

    def _begin(
        self,
        method: str,
        path: str,
        api_version: str,
        doing: str,
        body: Mapping[str, Any] | None = None,
        *,
        absent_is_none: bool = False,
    ) -> None:
        query = {"api-version": api_version}
        content = self._send(method, path, doing, query, body, absent_is_none=absent_is_none)
        if content:
            # What it says does not matter, but a proxy's page is no sign that anything was started.
            parse_response(content, lambda _: None, doing)

    def _send(
        self,
        method: str,
        url: str,
        doing: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        *,
        absent_is_none: bool = False,
    ) -> bytes | None:
        request = HttpRequest(method, self._absolute(url), params=dict(query), json=body)
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
            return response.content

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
    wanted = environment.get("AZUREML_CURRENT_CLOUD")

    def resource_manager(clouds: Any) -> str:
        listed = clouds if isinstance(clouds, list) else [clouds]
        chosen = next((cloud for cloud in listed if cloud.get("name") == wanted), listed[0])
        return str(chosen["resourceManager"])

    return parse_response(response.content, resource_manager, "reading the cloud's metadata")


def registry_discovery_url(environment: Mapping[str, str] = os.environ) -> str:
    """Where registries are looked up; azure-ai-ml reads the same variable."""
    return environment.get("REGISTRY_DISCOVERY_ENDPOINT_URL") or PUBLIC_REGISTRY_DISCOVERY
