"""The webhook that receives notifications."""

from __future__ import annotations

from collections.abc import Mapping

import requests
from opentelemetry.instrumentation.utils import suppress_http_instrumentation

from shared.adapters.http.response_parsing import retry_after
from shared.domain.errors import ServiceRefusedError, TransientServiceError

SECONDS = 10.0

REFUSALS = frozenset({400, 405, 410, 413, 415, 422})
"""Answers after which the same message is not worth sending again. Any other may be somebody's
misconfiguration, and is gone once they have seen to it."""


class HttpWebhook:
    """See `Webhook`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """See `Webhook.post`. Redirects are not followed: the address is the one that was configured.

        The addresses of Slack's and Teams' webhooks are secrets, so that no span of the request is exported,
        and no exception that has the address in its text is kept as a cause.
        """
        try:
            # A session of its own: a shared one is not safe for threads. The body of the answer is not read.
            with (
                suppress_http_instrumentation(),
                requests.post(
                    self._url,
                    data=body,
                    headers=dict(headers),
                    timeout=SECONDS,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                pass
        except requests.RequestException as fault:
            message = f"the webhook cannot be reached ({type(fault).__name__})"
            raise TransientServiceError(message, code="WebhookUnreachable") from None
        if 200 <= response.status_code < 300:
            return
        message = f"the webhook answered {response.status_code}"
        if response.status_code in REFUSALS:
            raise ServiceRefusedError(message, code="WebhookRefused")
        raise TransientServiceError(message, code="WebhookFailed", retry_after=retry_after(response.headers))
