"""HTTP in this app's terms: what a request body may be, and what an answer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from shared.domain.errors import RequestError

BODY_LIMIT_BYTES = 1024 * 1024
JSON = "application/json"
PROBLEM = "application/problem+json"


class Answer(NamedTuple):
    """An HTTP answer, and the runs that are to be advanced because of it."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = {}
    advance: tuple[str, ...] = ()


def json_answer(
    status: int,
    value: Any,
    *,
    headers: Mapping[str, str] | None = None,
    advance: tuple[str, ...] = (),
) -> Answer:
    """Answer with JSON."""
    return Answer(status, msgspec.json.encode(value), JSON, headers or {}, advance)


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
