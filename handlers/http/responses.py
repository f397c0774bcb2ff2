"""What an HTTP answer is, in this app's terms."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

JSON = "application/json"
PROBLEM = "application/problem+json"


class Response(NamedTuple):
    """An HTTP answer, whose body may be made as it is sent, and the runs to advance because of it."""

    status: int
    body: bytes | AsyncIterator[bytes]
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


def conditional_response(view: Callable[[], Any], etag: str, if_none_match: str | None) -> Response:
    """Answer with JSON and its ETag, or 304 if the caller's copy has that ETag; `view` is made if needed."""
    headers = {"ETag": etag}
    if if_none_match is not None and etag.removeprefix("W/") in if_none_match:
        return Response(304, b"", JSON, headers)
    return json_response(200, view(), headers=headers)
