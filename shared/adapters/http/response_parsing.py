"""Parse responses of services. An unexpected form becomes a transient fault here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from shared.domain.backoff import LONGEST_ASKED_SECONDS
from shared.domain.errors import FinetuneError, TransientServiceError
from shared.domain.sanitize import sanitize_text

T = TypeVar("T")

INVALID_RESPONSE = "InvalidResponse"


def parse_response(body: str | bytes, read: Callable[[Any], T], doing: str) -> T:
    """Make something of a service's JSON.

    Args:
        body: The answer as it came.
        read: Takes the decoded JSON and may trust it to have the expected form.
        doing: What was being done, for the message.

    Raises:
        TransientServiceError: If the answer has another form.
    """
    with validating_response(doing):
        return read(read_json(body))


@contextmanager
def validating_response(doing: str) -> Iterator[None]:
    """Answers are read inside the block, and trusted to have their form.

    Raises:
        TransientServiceError: For a value that is missing or of another kind: the answer is a proxy's page,
            was cut short, or is of a service that is not itself.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as fault:
        message = f"{doing}: the answer is not of the expected form ({type(fault).__name__})"
        raise TransientServiceError(message, code=INVALID_RESPONSE) from fault


def read_json(body: str | bytes) -> Any:
    """Decode JSON whose text can be encoded again.

    Raises:
        ValueError: If it is not JSON, or nested too deeply.
    """
    try:
        return _sanitized(json.loads(body))
    except RecursionError as fault:
        raise ValueError("nested too deeply") from fault


def is_retryable(fault: FinetuneError) -> bool:
    """Whether asking again may bring an answer that can be read."""
    return fault.retryable and fault.code != INVALID_RESPONSE


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a service asks to wait, at most an hour; None if the header has no valid delay."""
    try:
        asked = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    # Infinity is a float, too, and NaN compares with nothing.
    return min(asked, LONGEST_ASKED_SECONDS) if 0 <= asked < float("inf") else None


def _sanitized(value: Any) -> Any:
    match value:
        case str():
            return sanitize_text(value)
        case list():
            return [_sanitized(item) for item in value]
        case dict():
            return {sanitize_text(key): _sanitized(item) for key, item in value.items()}
        case _:
            return value
