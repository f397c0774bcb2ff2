"""Transports for azure-core's pipelines: they bound every answer, and guard where tokens go."""

from __future__ import annotations

from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport

from shared.adapters.http.trusted_hosts import TrustedHosts
from shared.domain.errors import TransientServiceError

ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
"""The longest answer that is read: many times what Azure ML says, and nothing that fills the memory."""

LONGEST_SLEEP_SECONDS = 2.0

_PIECE = 16 * 1024


class BoundedSession(requests.Session):
    """Reads an answer's body piece by piece, and no further than the limit."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request.

        Raises:
            TransientServiceError: If the answer, decompressed, is over `ANSWER_LIMIT_BYTES`.
        """
        if options.get("stream"):
            return super().send(request, **options)
        response = super().send(request, **{**options, "stream": True})
        body = bytearray()
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > ANSWER_LIMIT_BYTES:
                response.close()
                message = f"an answer is over {ANSWER_LIMIT_BYTES // 2**20} MiB and was not read"
                raise TransientServiceError(message, code="AnswerTooLarge")
        response._content = bytes(body)
        return response


class BoundedTransport(RequestsTransport):  # type: ignore[misc]
    """Sends over a `BoundedSession`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(session=BoundedSession(), **options)


class BriefTransport(BoundedTransport):
    """Sleeps no longer than `LONGEST_SLEEP_SECONDS`, whatever a `Retry-After` asks for."""

    def sleep(self, duration: float) -> None:
        """Wait before the next try, seconds."""
        super().sleep(min(duration, LONGEST_SLEEP_SECONDS))


class GuardedTransport(BoundedTransport):
    """Sends requests that carry a token to trusted hosts alone, wherever their address came from."""

    def __init__(self, trusted: TrustedHosts, **options: Any) -> None:
        super().__init__(**options)
        self._trusted = trusted

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request.

        Raises:
            ServiceRefusedError: If its address is not a trusted one.
        """
        if "Authorization" in request.headers:
            self._trusted.check(request.url)
        return super().send(request, **options)
