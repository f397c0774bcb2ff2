"""HTTP in this app's terms: what a request body may be, and what an answer is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from shared.domain.errors import RequestError

BODY_LIMIT_BYTES = 1024 * 1024
JSON = "application/json"
PROBLEM = "application/problem+json"


class Response(NamedTuple):
    """An HTTP answer, and the runs that are to be advanced because of it."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = {}
    advance: tuple[str, ...] = ()


def json_response(
    status: int,
    value: Any,
    *,
    headers: Mapping[str, str] | None = None,
    advance: tuple[str, ...] = (),
) -> Response:
    """Answer with JSON."""
    return Response(status, msgspec.json.encode(value), JSON, headers or {}, advance)


def weak_etag(value: Any) -> str:
    """The ETag of an answer that says the same as `value`, if perhaps not in the same bytes (RFC 9110)."""
    return f'W/"{hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:32]}"'


def conditional_response(value: Any, etag: str, if_none_match: str | None) -> Response:
    """Answer with JSON and its ETag, or 304 if the caller's copy has that ETag."""
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if if_none_match is not None and etag.removeprefix("W/") in if_none_match:
        return Response(304, b"", JSON, headers)
    return json_response(200, value, headers=headers)


def read_object(body: bytes) -> dict[str, Any]:
    """Read a request body that must be one JSON object.

    Raises:
        RequestError: 413 over `BODY_LIMIT_BYTES`, 400 for anything that is not a JSON object.
    """
    if len(body) > BODY_LIMIT_BYTES:
        raise RequestError(413, f"the body is over {BODY_LIMIT_BYTES // 1024} KiB", code="PayloadTooLarge")
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise RequestError(400, f"the body is not JSON: {fault}", code="MalformedJson") from fault
    if not isinstance(value, dict):
        raise RequestError(400, "the body must be a JSON object", code="MalformedRequest")
    return value
