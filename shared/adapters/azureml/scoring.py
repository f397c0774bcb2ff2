"""Scoring URIs over pooled connections: nothing but the request itself goes over the wire.

`online_endpoints.invoke` is not used: it needs a file, makes two or three control-plane calls a request,
and leaks its deployment header into later calls (azure-ai-ml 1.35.2).
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.request import getproxies

import aiohttp
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from yarl import URL

from shared.adapters.azureml.endpoints import AzureMlEndpoints
from shared.adapters.http.response_parsing import read_json, retry_after
from shared.adapters.http.transport import ANSWER_LIMIT_BYTES
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
    403: (502, "EndpointForbidden", "this app's identity is not allowed to score on the endpoint"),
    404: (503, "NoDeployment", "the endpoint has no deployment with traffic"),
    408: (504, "EndpointTimeout", "the model took longer than the endpoint's time limit"),
    413: (413, "PayloadTooLarge", "the request is larger than the endpoint allows"),
    424: (502, "ModelError", "the model failed on this request"),
    429: (429, "TooManyRequests", "the endpoint is busy; try again later"),
}
"""Status of a managed endpoint: what we answer, the code, the words
(source: Azure's "Troubleshoot online endpoints", status code table)."""

_OF_THE_MODEL = {
    400: (400, "ModelRefused", "the model's server refused the request"),
    413: (413, "PayloadTooLarge", "the request is larger than the model's server allows"),
    422: (422, "ModelRefused", "the model's server refused the request"),
    429: (429, "TooManyRequests", "the model's server is busy; try again later"),
    503: (503, "ModelUnavailable", "the model's server is not available; try again later"),
}
"""The same for the status of the model's own server, which the endpoint passes on behind a 424."""

_CONTEXT = re.compile(r"context (?:length|window)|max_model_len", re.IGNORECASE)


_WHOLE = aiohttp.ClientTimeout(total=RESPONSE_SECONDS, sock_connect=CONNECT_SECONDS)
_STREAMING = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=RESPONSE_SECONDS)


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
        return await self._score(self._shared(), target, request, deployment)

    async def stream(self, target: ScoringTarget, request: Upstream) -> AsyncGenerator[bytes, None]:
        """See `Scoring.stream`; on the same event loop as `score_async`."""
        async with self._response(self._shared(), target, request, None, _STREAMING) as response:
            if response.status != HTTPStatus.OK:
                raise _refusal(response.status, response.headers)
            size = 0
            try:
                async for chunk in response.content.iter_any():
                    size += len(chunk)
                    if size > ANSWER_LIMIT_BYTES:
                        raise _too_large()
                    yield chunk
            except aiohttp.ClientError as fault:
                raise ScoringError(
                    502,
                    "the model's server closed the stream before the reply was complete",
                    code="StreamBroken",
                ) from fault

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(self, target: ScoringTarget, request: Upstream, deployment: str | None) -> Any:
        async with self._open() as session:
            return await self._score(session, target, request, deployment)

    async def _score(
        self,
        session: aiohttp.ClientSession,
        target: ScoringTarget,
        request: Upstream,
        deployment: str | None,
    ) -> Any:
        async with self._response(session, target, request, deployment, _WHOLE) as response:
            return _answer(_Reply(response.status, response.headers, await _read(response)))

    @asynccontextmanager
    async def _response(
        self,
        session: aiohttp.ClientSession,
        target: ScoringTarget,
        request: Upstream,
        deployment: str | None,
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer before its body is read; one that is not read to its end closes its connection."""
        # Every path of the endpoint's host leads to the model's server, not only its scoring URI's.
        scoring = self._address(target)
        address = scoring.with_path(scoring.path.removesuffix("/score") + request.path)
        body = _encoded(request.body)
        headers = {**request.headers, "Content-Type": "application/json"}
        if deployment is not None:
            headers[DEPLOYMENT_HEADER] = deployment

        async def post(bearer: _Bearer) -> aiohttp.ClientResponse:
            signed = {**headers, "Authorization": f"Bearer {bearer.text}"}
            return await session.post(
                address, data=body, headers=signed, allow_redirects=False, timeout=timeout
            )

        bearer = await self._bearer(target)
        try:
            response = await post(bearer)
            if response.status == HTTPStatus.UNAUTHORIZED:
                # The key was regenerated, or the token revoked: once more, with a new one.
                response.close()
                self._bearers.discard(target.name, bearer)
                response = await post(await self._bearer(target))
            try:
                yield response
            finally:
                if response.content.at_eof():
                    response.release()
                else:
                    response.close()
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise _unreachable(fault) from fault

    async def _bearer(self, target: ScoringTarget) -> _Bearer:
        return await self._bearers.get(
            target.name, lambda: self._sign_in(target), lifetime=CREDENTIAL_LIFETIME
        )

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

    def _shared(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._open()
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        """A session without a limit on connections, which belongs to the running event loop."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS, ssl=self._tls),
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
            raise _too_large()
    return bytes(body)


def _too_large() -> ScoringError:
    message = f"the model's answer is over {ANSWER_LIMIT_BYTES // 2**20} MiB"
    return ScoringError(502, message, code="AnswerTooLarge")


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
    raise _refusal(reply.status, reply.headers)


def _refusal(upstream: int, headers: Mapping[str, str]) -> ScoringError:
    known = _MEANINGS.get(upstream, (502, "EndpointError", f"the endpoint answered {upstream}"))
    model_status, reason = _model_status(headers), headers.get("ms-azureml-model-error-reason")
    status, code, message = _OF_THE_MODEL.get(model_status or 0, known) if upstream == 424 else known
    if code == "ModelRefused" and reason and _CONTEXT.search(reason):
        # OpenAI's own code, which its users look for.
        code = "context_length_exceeded"
    # Bytes of a header that are no UTF-8 come as halves of surrogate pairs.
    request_id = sanitize_text(headers.get("x-request-id", ""))
    return ScoringError(
        status,
        f"{message}: {reason}" if reason else message,
        code=code,
        upstream_status=upstream,
        model_status=model_status,
        request_id=request_id or None,
        retry_after=retry_after(headers),
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
