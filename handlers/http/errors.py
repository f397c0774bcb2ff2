"""Map every error to an HTTP response: one table, problem+json (RFC 9457)."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec
from msgspec import UNSET, UnsetType

from handlers.http.responses import PROBLEM, Response
from shared.config import SettingsError
from shared.domain.errors import (
    AbsentError,
    CorruptRunError,
    FinetuneError,
    InvalidRunError,
    NewerRecordError,
    RequestError,
    RunBusyError,
    RunChangedError,
    ScoringError,
    ServiceRefusedError,
    TransientServiceError,
    UnknownRunError,
    UploadReplacedError,
    WrongWorkspaceError,
)
from shared.logs import get_logger

RETRY_SECONDS = 5

STATUSES: dict[type[FinetuneError], int] = {
    UnknownRunError: 404,
    CorruptRunError: 409,
    NewerRecordError: 503,
    UploadReplacedError: 409,
    InvalidRunError: 422,
    AbsentError: 422,
    RunBusyError: 503,
    RunChangedError: 503,
    TransientServiceError: 503,
    WrongWorkspaceError: 503,
    ServiceRefusedError: 502,
    SettingsError: 503,
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error outside `/v1` (RFC 9457).

    Attributes:
        code: A stable word for programs.
        detail: What is wrong, and what to change.
        upstream_status: HTTP status that the endpoint gave.
        upstream_request_id: The endpoint's own id of the request.
    """

    title: str
    status: int
    code: str
    detail: str
    upstream_status: int | UnsetType = UNSET
    upstream_request_id: str | UnsetType = UNSET
    type: str = "about:blank"


_log = get_logger(__name__)


def unforeseen(fault: Exception) -> RequestError:
    """Log an exception of which the caller is told nothing."""
    _log.error("request failed unexpectedly", exc_info=fault)
    return RequestError(500, "the app failed unexpectedly; its log has the reason", code="InternalError")


def problem_of(exception: Exception) -> Response:
    """Render an exception; statuses of 500 and above are logged, the rest is the caller's own."""
    fault = exception if isinstance(exception, FinetuneError) else unforeseen(exception)
    status = (
        fault.status if isinstance(fault, RequestError | ScoringError) else STATUSES.get(type(fault), 500)
    )
    if status >= 500:
        _log.warning("request failed", extra={"code": fault.code, "status": status})
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=fault.code,
        detail=fault.message,
        upstream_status=getattr(fault, "upstream_status", None) or UNSET,
        upstream_request_id=getattr(fault, "request_id", None) or UNSET,
    )
    headers = {}
    if status in {429, 503}:
        headers["Retry-After"] = _delay(getattr(fault, "retry_after", None))
    return Response(status, msgspec.json.encode(problem), PROBLEM, headers)


def _delay(asked: float | None) -> str:
    """A Retry-After in whole seconds, as RFC 9110 has it."""
    return str(RETRY_SECONDS if asked is None else math.ceil(asked))
