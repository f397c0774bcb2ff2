"""HTTP requests as handlers see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from shared.domain.errors import RequestError

BODY_LIMIT_BYTES = 1024 * 1024


class Request(NamedTuple):
    """A request.

    Attributes:
        url: As it was sent.
        path: The values of the route's parameters.
        query: The query string's parameters.
        headers: By name in any case.
        body: All of it; empty for a route that takes none.
    """

    url: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def if_none_match(self) -> str | None:
        """The ETag of the caller's copy."""
        return self.headers.get("If-None-Match")


def body_too_large(limit: int = BODY_LIMIT_BYTES) -> RequestError:
    """The error for a body over a limit in bytes."""
    return RequestError(413, f"the body is over {limit // 1024} KiB", code="PayloadTooLarge")


def body_cut_short() -> RequestError:
    """The error for a body whose sender left."""
    return RequestError(
        400,
        "the connection closed before the whole body arrived; send the request again",
        code="BodyCutShort",
    )


def read_object(body: bytes) -> dict[str, Any]:
    """Read a request body that must be one JSON object.

    Raises:
        RequestError: 413 over `BODY_LIMIT_BYTES`, 400 for anything that is not a JSON object.
    """
    if len(body) > BODY_LIMIT_BYTES:
        raise body_too_large()
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise RequestError(400, f"the body is not JSON: {fault}", code="MalformedJson") from fault
    if not isinstance(value, dict):
        raise RequestError(400, "the body must be a JSON object", code="MalformedRequest")
    return value
