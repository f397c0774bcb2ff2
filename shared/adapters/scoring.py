"""Scoring URIs over pooled connections: nothing but the request itself goes over the wire.

`online_endpoints.invoke` is not used: it needs a file, makes two or three control-plane calls a request,
and leaks its deployment header into later calls (azure-ai-ml 1.35.2).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError

from shared.adapters.endpoints import AzureMlEndpoints
from shared.adapters.sdk_errors import translate
from shared.domain.errors import FinetuneError, ScoringError, TransientServiceError

ML_SCOPE = "https://ml.azure.com/.default"
DEPLOYMENT_HEADER = "azureml-model-deployment"

ANSWER_SECONDS = 95
"""A little over the 90 s that deployments may take, so that the endpoint's own answer wins."""

CONNECT_SECONDS = 10
CONNECTIONS = 256
ADDRESS_SECONDS = 300
REFRESH_SECONDS = 300

_NAMES = {
    401: (502, "EndpointUnauthorized", "the endpoint did not accept this app's credential"),
    403: (502, "EndpointForbidden", "this app's identity may not score on the endpoint"),
    404: (503, "NoDeployment", "the endpoint has no deployment with traffic"),
    408: (504, "EndpointTimeout", "the model took longer than the endpoint allows"),
    413: (413, "PayloadTooLarge", "the request is larger than the endpoint allows"),
    424: (502, "ModelError", "the model failed on this request"),
    429: (429, "TooManyRequests", "the endpoint has more requests than it can take"),
}
"""Status of a managed endpoint, and what it means to a caller of ours
(source: Azure's "Troubleshoot online endpoints", status code table)."""


class _Address(NamedTuple):
    uri: str
    bearer: str
    renew_at: float


class EndpointScoring:
    """Scores on this workspace's endpoints; addresses and credentials are kept between requests.

    Attributes:
        uri_of: Finds an endpoint's scoring URI; asked at most every `ADDRESS_SECONDS` for each endpoint.
    """

    def __init__(
        self,
        credential: TokenCredential,
        endpoints: AzureMlEndpoints,
        uri_of: Callable[[str], tuple[str, str]],
    ) -> None:
        self._credential = credential
        self._endpoints = endpoints
        self.uri_of = uri_of
        self._addresses: dict[str, _Address] = {}
        self._lock = threading.Lock()
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        tls = httpx.create_ssl_context()
        self._open: Callable[[], httpx.AsyncClient] = lambda: httpx.AsyncClient(
            limits=limits,
            timeout=timeout,
            verify=tls,
        )
        self._sync = httpx.Client(timeout=timeout, verify=tls)
        self._async: httpx.AsyncClient | None = None

    def score(self, name: str, payload: Mapping[str, Any], *, deployment: str | None) -> Any:
        """See `Scoring.score`."""
        for fresh in (False, True):
            address = self._address(name, fresh=fresh)
            try:
                response = self._sync.post(address.uri, json=payload, headers=_headers(address, deployment))
            except httpx.HTTPError as fault:
                raise _unreachable(fault) from fault
            if response.status_code != 401 or fresh:
                return _answer(response)
        raise AssertionError("unreachable")  # pragma: no cover - the second round always returns or raises

    async def score_async(self, name: str, payload: Mapping[str, Any], *, deployment: str | None = None) -> Any:
        """Like `score`, for many requests at once on one event loop."""
        if self._async is None:
            self._async = self._open()
        for fresh in (False, True):
            address = self._cached(name) if not fresh else None
            if address is None:
                address = await asyncio.to_thread(self._address, name, fresh=fresh)
            try:
                response = await self._async.post(address.uri, json=payload, headers=_headers(address, deployment))
            except httpx.HTTPError as fault:
                raise _unreachable(fault) from fault
            if response.status_code != 401 or fresh:
                return _answer(response)
        raise AssertionError("unreachable")  # pragma: no cover - the second round always returns or raises

    def forget(self, name: str) -> None:
        """Drop what is kept of an endpoint: it changed, or it is gone."""
        with self._lock:
            self._addresses.pop(name, None)

    def _cached(self, name: str) -> _Address | None:
        address = self._addresses.get(name)
        return address if address is not None and address.renew_at > time.time() else None

    def _address(self, name: str, *, fresh: bool) -> _Address:
        if not fresh and (cached := self._cached(name)) is not None:
            return cached
        uri, auth_mode = self.uri_of(name)
        now = time.time()
        try:
            if auth_mode == "key":
                bearer, renew_at = self._endpoints.key(name) or "", now + ADDRESS_SECONDS
            else:
                token = self._credential.get_token(ML_SCOPE)
                bearer, renew_at = token.token, min(now + ADDRESS_SECONDS, token.expires_on - REFRESH_SECONDS)
        except AzureError as fault:
            raise translate(fault, f"signing in to endpoint {name}") from fault
        address = _Address(uri, bearer, renew_at)
        with self._lock:
            self._addresses[name] = address
        return address


def _headers(address: _Address, deployment: str | None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {address.bearer}"}
    return {**headers, DEPLOYMENT_HEADER: deployment} if deployment else headers


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        try:
            return response.json()
        except ValueError as fault:
            raise ScoringError(502, "the model's answer is not JSON", code="InvalidAnswer") from fault
    status, code, message = _NAMES.get(
        response.status_code,
        (502, "EndpointError", f"the endpoint answered {response.status_code}"),
    )
    reason = response.headers.get("ms-azureml-model-error-reason")
    raise ScoringError(
        status,
        f"{message}: {reason}" if reason else message,
        code=code,
        upstream_status=response.status_code,
        request_id=response.headers.get("x-request-id"),
        retry_after=response.headers.get("retry-after"),
    )


def _unreachable(fault: httpx.HTTPError) -> FinetuneError:
    if isinstance(fault, httpx.TimeoutException) and not isinstance(fault, httpx.ConnectTimeout):
        return ScoringError(504, "the endpoint did not answer in time", code="EndpointTimeout")
    return TransientServiceError(f"the endpoint cannot be reached: {type(fault).__name__}", code="EndpointUnreachable")
