"""Scoring URIs over pooled connections: nothing but the request itself goes over the wire.

`online_endpoints.invoke` is not used: it needs a file, makes two or three control-plane calls a request,
and leaks its deployment header into later calls (azure-ai-ml 1.35.2).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.request import getproxies

import aiohttp
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from yarl import URL

from shared.adapters.azureml.endpoints import AzureMlEndpoints
from shared.adapters.http.response_parsing import read_json, retry_after
from shared.adapters.sdk_errors import translate
from shared.domain.errors import ScoringError
from shared.domain.sanitize import sanitize_text
from shared.domain.serving.chat import Upstream
from shared.domain.serving.deployment import REQUEST_SECONDS
from shared.ports import ScoringTarget
from shared.single_flight import SingleFlightCache

ML_SCOPE = "https://ml.azure.com/.default"
DEPLOYMENT_HEADER = "azureml-model-deployment"

RESPONSE_SECONDS = REQUEST_SECONDS + 5
"""A little over what deployments may take, so that the endpoint's own answer wins."""

CONNECT_SECONDS = 10
KEEP_SECONDS = 60
"""How long an idle connection is kept: shorter than Azure's front ends keep theirs (4 minutes)."""

CREDENTIAL_LIFETIME = timedelta(minutes=5)
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


ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
"""The longest answer that is read: many times what a model writes, and nothing that fills the memory."""


class _Bearer(NamedTuple):
    text: str


class _Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class EndpointScoring:
    """Scores on the workspace's endpoints; connections and credentials are kept between requests."""

    def __init__(self, credential: TokenCredential, endpoints: AzureMlEndpoints, *, domain: str) -> None:
        """Begin without a connection.

        Args:
            credential: Signs in to endpoints that take tokens.
            endpoints: Where the keys of the others are asked for.
            domain: Where endpoints are; credentials go nowhere else, whatever a run's record says.
        """
        self._credential = credential
        self._endpoints = endpoints
        self._domain = domain
        self._bearers: SingleFlightCache[_Bearer] = SingleFlightCache(lambda: datetime.now(UTC))
        self._tls = ssl.create_default_context()
        self._session: aiohttp.ClientSession | None = None

    def score(self, target: ScoringTarget, request: Upstream, *, deployment: str | None) -> Any:
        """See `Scoring.score`."""
        return asyncio.run(self._once(target, request, deployment))

    async def score_async(
        self,
        target: ScoringTarget,
        request: Upstream,
        *,
        deployment: str | None = None,
    ) -> Any:
        """Like `score`, for many requests at once; every call must be on the same event loop."""
        if self._session is None:
            self._session = self._open()
        return await self._send(self._session, target, request, deployment)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(self, target: ScoringTarget, request: Upstream, deployment: str | None) -> Any:
        async with self._open() as session:
            return await self._send(session, target, request, deployment)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        target: ScoringTarget,
        request: Upstream,
        deployment: str | None,
    ) -> Any:
        # Every path of the endpoint's host leads to the model's server, not only its scoring URI's.
        scoring = self._address(target)
        address = scoring.with_path(scoring.path.removesuffix("/score") + request.path)
        body = _encoded(request.body)
        headers = {**request.headers, "Content-Type": "application/json"}
        if deployment is not None:
            headers[DEPLOYMENT_HEADER] = deployment
        bearer = await self._bearer(target)
        reply = await self._post(session, address, body, bearer, headers)
        if reply.status == 401:
            # The key was regenerated, or the token revoked: once more, with a new one.
            self._bearers.discard(target.name, bearer)
            bearer = await self._bearer(target)
            reply = await self._post(session, address, body, bearer, headers)
        return _answer(reply)

    async def _bearer(self, target: ScoringTarget) -> _Bearer:
        return await self._bearers.get(
            target.name, lambda: self._sign_in(target), lifetime=CREDENTIAL_LIFETIME
        )

    async def _post(
        self,
        session: aiohttp.ClientSession,
        address: URL,
        body: bytes,
        bearer: _Bearer,
        headers: Mapping[str, str],
    ) -> _Reply:
        signed = {**headers, "Authorization": f"Bearer {bearer.text}"}
        try:
            async with session.post(address, data=body, headers=signed, allow_redirects=False) as response:
                return _Reply(response.status, response.headers, await _read(response))
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise _unreachable(fault) from fault

    def _address(self, target: ScoringTarget) -> URL:
        if not target.uri:
            raise ScoringError(503, "the endpoint has no address yet", code="EndpointUnreachable")
        try:
            address = URL(target.uri)
            host = address.host or ""
        except ValueError:
            address, host = URL(), ""
        if address.scheme == "https" and (host == self._domain or host.endswith(f".{self._domain}")):
            return address
        raise ScoringError(
            502,
            f"endpoint {target.name} is not under {self._domain}: see SCORING_DOMAIN",
            code="ForeignAddress",
        )

    def _sign_in(self, target: ScoringTarget) -> _Bearer:
        try:
            if target.auth_mode == "key":
                text = self._endpoints.key(target.name) or ""
            else:
                text = self._credential.get_token(ML_SCOPE).token
        except AzureError as fault:
            raise translate(fault, f"signing in to endpoint {target.name}") from fault
        return _Bearer(text)

    def _open(self) -> aiohttp.ClientSession:
        """A session without a limit on connections, which belongs to the running event loop."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=RESPONSE_SECONDS, sock_connect=CONNECT_SECONDS),
            # The credential is for this endpoint alone, and cookies would outlive a request.
            cookie_jar=aiohttp.DummyCookieJar(),
            # Only where there is a proxy: every request would read ~/.netrc.
            trust_env=bool(getproxies().keys() - {"no"}),
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT_BYTES:
            message = f"the model's answer is over {ANSWER_LIMIT_BYTES // 2**20} MiB"
            raise ScoringError(502, message, code="AnswerTooLarge")
    return bytes(body)


def _encoded(payload: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(payload, ensure_ascii=False).encode()
    except RecursionError as fault:
        # It could just be decoded; here the stack is a few frames deeper.
        raise ScoringError(400, "the body is nested too deeply", code="MalformedRequest") from fault


def _answer(reply: _Reply) -> Any:
    if 200 <= reply.status < 300:
        try:
            return read_json(reply.body)
        except ValueError as fault:
            raise ScoringError(502, "the model's answer is not JSON", code="InvalidResponse") from fault
    status, code, message = _MEANINGS.get(
        reply.status, (502, "EndpointError", f"the endpoint answered {reply.status}")
    )
    reason = reply.headers.get("ms-azureml-model-error-reason")
    # Bytes of a header that are no UTF-8 come as halves of surrogate pairs.
    request_id = sanitize_text(reply.headers.get("x-request-id", ""))
    raise ScoringError(
        status,
        f"{message}: {reason}" if reason else message,
        code=code,
        upstream_status=reply.status,
        model_status=_model_status(reply.headers),
        request_id=request_id or None,
        retry_after=retry_after(reply.headers),
    )


def _model_status(headers: Mapping[str, str]) -> int | None:
    given = headers.get("ms-azureml-model-error-statuscode", "")
    return int(given) if given.isascii() and given.isdigit() else None


def _unreachable(fault: Exception) -> ScoringError:
    connecting = isinstance(fault, aiohttp.ConnectionTimeoutError)
    if isinstance(fault, TimeoutError) and not connecting:
        return ScoringError(504, "the endpoint did not answer in time", code="EndpointTimeout")
    return ScoringError(
        503, f"the endpoint cannot be reached ({type(fault).__name__})", code="EndpointUnreachable"
    )
