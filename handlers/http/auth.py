"""Check API keys on the routes that the Functions host leaves open.

OpenAI's clients send their key as a bearer token, which the Functions host does not check. So the host lets
these routes through, and the app checks the key. The app cannot read the host's keys; it accepts those in the
setting `API_KEYS`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from shared.domain.errors import RequestError
from shared.logs import get_logger

_log = get_logger(__name__)


def not_available() -> RequestError:
    """503 without the cause, for callers without a function key while the app is not configured."""
    return RequestError(503, "this route is not available; the app's log has the reason", code="NotAvailable")


def check_key(headers: Mapping[str, str], accepted: Iterable[str]) -> None:
    """Let a request pass that carries an accepted key.

    The time that this takes tells nothing of any key: digests of one length are compared, all of them.

    Args:
        headers: The request's; `x-functions-key`, `api-key` and `Authorization: Bearer` are looked at.
        accepted: The keys.

    Raises:
        RequestError: 401 for any other request; 503 if there are no keys, which only the log explains.
    """
    keys = tuple(accepted)
    if not keys:
        _log.error(
            "API_KEYS has no key: it is empty, or a Key Vault reference that Azure has not resolved;"
            " set it to the keys that /api/v1 is to accept"
        )
        raise not_available()
    digests = [_digest(text) for text in _presented(headers)]
    matches = [hmac.compare_digest(_digest(key), digest) for key in keys for digest in digests]
    if not any(matches):
        message = (
            "the request has no valid key; send one as x-functions-key, api-key or Authorization: Bearer"
        )
        raise RequestError(401, message, code="invalid_api_key")


def _presented(headers: Mapping[str, str]) -> list[str]:
    found = [headers.get("x-functions-key"), headers.get("api-key")]
    scheme, _, token = (headers.get("authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(token.strip())
    return [text for text in found if text]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
