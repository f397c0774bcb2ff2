"""The function key, where the app has to check it itself.

OpenAI's clients send their key as a bearer token, which the Functions host does not look at. The routes that
they call are therefore open for the host and closed here. The app cannot ask the host for its keys, so that
those it accepts are a setting.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from shared.domain.errors import RequestError


def check_key(headers: Mapping[str, str], accepted: Iterable[str]) -> None:
    """Let a request pass that carries an accepted key.

    The time that this takes tells nothing of any key: digests of one length are compared, all of them.

    Args:
        headers: The request's; `x-functions-key`, `api-key` and `Authorization: Bearer` are looked at.
        accepted: The keys.

    Raises:
        RequestError: 401 for any other request.
    """
    keys = tuple(accepted)
    if not keys:
        message = "nobody can be let in here yet: the setting API_KEYS names no key"
        raise RequestError(401, message, code="no_keys_configured")
    digests = [_digest(text) for text in _presented(headers)]
    matches = [hmac.compare_digest(_digest(key), digest) for key in keys for digest in digests]
    if not any(matches):
        message = "a valid key is needed, as x-functions-key, api-key or Authorization: Bearer"
        raise RequestError(401, message, code="invalid_api_key")


def _presented(headers: Mapping[str, str]) -> list[str]:
    found = [headers.get("x-functions-key"), headers.get("api-key")]
    scheme, _, token = (headers.get("authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(token.strip())
    return [text for text in found if text]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
