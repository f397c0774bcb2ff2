"""Scoring URIs over pooled connections: nothing but the request itself goes over the wire.

`online_endpoints.invoke` is not used: it needs a file, makes two or three control-plane calls a request,
and leaks its deployment header into later calls (azure-ai-ml 1.35.2).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError

from shared.adapters.endpoints import AzureMlEndpoints
from shared.adapters.sdk_errors import translate
from shared.domain.errors import ScoringError
from shared.ports import ScoringTarget

ML_SCOPE = "https://ml.azure.com/.default"
DEPLOYMENT_HEADER = "azureml-model-deployment"

ANSWER_SECONDS = 95
"""A little over the 90 s that deployments may take, so that the endpoint's own answer wins."""

CONNECT_SECONDS = 10
LANE = 8
"""Requests of one HTTP client at once. For each request a client looks at all its connections (httpcore 1.0),
so that one with a hundred of them is busier with those than with requests."""

CREDENTIAL_SECONDS = 300
"""How long a key or token is used before it is asked for again; azure-identity caches tokens besides."""

_MEANINGS = {
    401: (502, "EndpointUnauthorized", "the endpoint did not accept this app's credential"),
    403: (502, "EndpointForbidden", "this app's identity may not score on the endpoint"),
    404: (503, "NoDeployment", "the endpoint has no deployment with traffic"),
    408: (504, "EndpointTimeout", "the model took longer than the endpoint allows"),
    413: (413, "PayloadTooLarge", "the request is larger than the endpoint allows"),
    424: (502, "ModelError", "the model failed on this request"),
    429: (429, "TooManyRequests", "the endpoint has more requests than it can take"),
}
"""Status of a managed endpoint: what we answer, the code, the words
(source: Azure's "Troubleshoot online endpoints", status code table)."""


class _Bearer(NamedTuple):
    text: str
    renew_at: float


class _Lane:
    """One HTTP client and how many requests it has under way."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.under_way = 0


class EndpointScoring:
    """Scores on the workspace's endpoints; connections and credentials are kept between requests."""

    def __init__(self, credential: TokenCredential, endpoints: AzureMlEndpoints) -> None:
        self._credential = credential
        self._endpoints = endpoints
        self._bearers: dict[str, _Bearer] = {}
        self._tls = httpx.create_ssl_context()
        self._timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self._limits = httpx.Limits(max_connections=None, max_keepalive_connections=LANE)
        self._lanes: list[_Lane] = []

    def score(self, target: ScoringTarget, payload: Mapping[str, Any], *, deployment: str | None) -> Any:
        """See `Scoring.score`."""
        return asyncio.run(self._once(target, payload, deployment))

    async def score_async(
        self,
        target: ScoringTarget,
        payload: Mapping[str, Any],
        *,
        deployment: str | None = None,
    ) -> Any:
        """Like `score`, for many requests at once; every call must be on the same event loop."""
        lane = self._free_lane()
        lane.under_way += 1
        try:
            return await self._send(lane.client, target, payload, deployment)
        finally:
            lane.under_way -= 1

    async def close(self) -> None:
        """Close every connection."""
        for lane in self._lanes:
            await lane.client.aclose()
        self._lanes.clear()

    def _free_lane(self) -> _Lane:
        """The first lane with room, so that few requests share few connections and keep them warm."""
        for lane in self._lanes:
            if lane.under_way < LANE:
                return lane
        self._lanes.append(_Lane(self._open()))
        return self._lanes[-1]

    async def _once(self, target: ScoringTarget, payload: Mapping[str, Any], deployment: str | None) -> Any:
        async with self._open() as client:
            return await self._send(client, target, payload, deployment)

    async def _send(
        self,
        client: httpx.AsyncClient,
        target: ScoringTarget,
        payload: Mapping[str, Any],
        deployment: str | None,
    ) -> Any:
        response = await self._post(client, target, payload, deployment)
        if response.status_code == 401:
            # The key was regenerated, or the token revoked: once more, with a new one.
            self._bearers.pop(target.name, None)
            response = await self._post(client, target, payload, deployment)
        return _answer(response)

    async def _post(
        self,
        client: httpx.AsyncClient,
        target: ScoringTarget,
        payload: Mapping[str, Any],
        deployment: str | None,
    ) -> httpx.Response:
        bearer = self._bearers.get(target.name)
        if bearer is None or bearer.renew_at <= time.time():
            bearer = await asyncio.to_thread(self._sign_in, target)
        headers = {"Authorization": f"Bearer {bearer.text}", "Content-Type": "application/json"}
        if deployment is not None:
            headers[DEPLOYMENT_HEADER] = deployment
        try:
            return await client.post(target.uri, content=_encoded(payload), headers=headers)
        except httpx.HTTPError as fault:
            raise _unreachable(fault) from fault

    def _sign_in(self, target: ScoringTarget) -> _Bearer:
        renew_at = time.time() + CREDENTIAL_SECONDS
        try:
            if target.auth_mode == "key":
                text = self._endpoints.key(target.name) or ""
            else:
                text = self._credential.get_token(ML_SCOPE).token
        except AzureError as fault:
            raise translate(fault, f"signing in to endpoint {target.name}") from fault
        self._bearers[target.name] = _Bearer(text, renew_at)
        return self._bearers[target.name]

    def _open(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(limits=self._limits, timeout=self._timeout, verify=self._tls)


def _encoded(payload: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(payload, ensure_ascii=False).encode()
    except RecursionError as fault:
        # It could just be decoded; here the stack is a few frames deeper.
        raise ScoringError(400, "the body is nested too deeply", code="MalformedRequest") from fault


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        try:
            return response.json()
        except ValueError as fault:
            raise ScoringError(502, "the model's answer is not JSON", code="InvalidAnswer") from fault
    status, code, message = _MEANINGS.get(
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


def _unreachable(fault: httpx.HTTPError) -> ScoringError:
    if isinstance(fault, httpx.TimeoutException) and not isinstance(fault, httpx.ConnectTimeout):
        return ScoringError(504, "the endpoint did not answer in time", code="EndpointTimeout")
    return ScoringError(
        503, f"the endpoint cannot be reached ({type(fault).__name__})", code="EndpointUnreachable"
    )
