"""Azure SDK exceptions, translated in one place.

| raised by azure-core                       | becomes                                     |
|--------------------------------------------|---------------------------------------------|
| HTTP 408, 409, 425, 429, 5xx               | TransientServiceError, with Retry-After     |
| connection or read failure, no answer      | TransientServiceError                       |
| a token that could not be had just now     | TransientServiceError                       |
| an answer that is no JSON                  | TransientServiceError, InvalidResponse        |
| any other HTTP error                       | ServiceRefusedError, in the service's words |

409 is transient because Azure ML answers it while a resource of that name is still changing or going.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import (
    AzureError,
    DecodeError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)

from shared.adapters.http.response_parsing import INVALID_RESPONSE, read_json, retry_after
from shared.domain.errors import FinetuneError, ServiceRefusedError, TransientServiceError
from shared.domain.sanitize import plain_text

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Translate what azure-core raises inside the block.

    Args:
        doing: What was being done, for the message: `creating endpoint ft-…`.
    """
    try:
        yield
    except FinetuneError:
        raise
    except AzureError as fault:
        raise translate(fault, doing) from fault
    except json.JSONDecodeError as fault:
        # azure-identity reads what a token service answers without looking at its status.
        raise TransientServiceError(f"{doing}: {fault}", code=INVALID_RESPONSE) from fault


def translate(fault: AzureError, doing: str) -> FinetuneError:
    """The error of ours that an azure-core exception stands for."""
    if isinstance(fault, ServiceRequestError | ServiceResponseError):
        return TransientServiceError(f"{doing}: {fault.message}", code="ServiceUnreachable")
    if not isinstance(fault, HttpResponseError):
        return TransientServiceError(f"{doing}: {fault.message}", code=type(fault).__name__)
    if isinstance(fault, DecodeError):
        return TransientServiceError(f"{doing}: {fault.message}", code=INVALID_RESPONSE)
    code, message = service_error(_body(fault))
    status = fault.status_code
    code = code or (f"HTTP{status}" if status else type(fault).__name__)
    message = message or fault.message or f"HTTP {status}"
    if status is None or status in TRANSIENT_STATUSES:
        asked = retry_after(getattr(fault.response, "headers", None) or {})
        return TransientServiceError(f"{doing}: {message}", code=code, retry_after=asked, status=status)
    return ServiceRefusedError(f"{doing}: {message}", code=code, status=status)


def service_error(body: Any) -> tuple[str | None, str | None]:
    """The code and message of an Azure error body, the most specific detail first.

    Azure ML's envelope says `UserError` or `BadRequest` on the outside and what is wrong in `details`.
    """
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return None, None
    listed = error.get("details")
    details = [
        detail
        for detail in (listed if isinstance(listed, list) else ())
        if isinstance(detail, Mapping) and detail.get("message")
    ]
    messages = [str(d["message"]) for d in details]
    outer = str(error.get("message") or "")
    if outer and outer != "The request is invalid.":
        messages.insert(0, outer)
    code = next((str(d["code"]) for d in details if d.get("code")), None) or error.get("code")
    return (str(code) if code else None), (plain_text(" ".join(messages) or outer) or None)


def is_absent(fault: HttpResponseError) -> bool:
    """Whether the service says that there is no such thing."""
    return isinstance(fault, ResourceNotFoundError) or fault.status_code == 404


def _body(fault: HttpResponseError) -> Any:
    try:
        return read_json(fault.response.text()) if fault.response is not None else None
    except Exception:  # reading raises whatever the transport does; without a body the status tells enough
        return None
