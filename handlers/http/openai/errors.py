"""Errors under `/v1`: the statuses of everywhere else in the form that OpenAI's clients read."""

from __future__ import annotations

import msgspec

from handlers.http.errors import problem_of, unforeseen
from handlers.http.responses import JSON, Response
from shared.domain.errors import FinetuneError, RequestError
from shared.domain.serving.chat import UnsupportedParameterError
from shared.domain.serving.openai_chat import OpenAIRequestError


class OpenAIFault(msgspec.Struct, frozen=True):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct, frozen=True):
    """The body of every error under `/v1`."""

    error: OpenAIFault


_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


def error_type(status: int) -> str:
    """OpenAI's word for a kind of error."""
    return "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")


def openai_error(fault: Exception) -> Response:
    """Render an exception; one that was not foreseen is logged, and tells the caller nothing."""
    if isinstance(fault, OpenAIRequestError):
        return _render(RequestError(400, fault.message, code=fault.code), fault.param)
    param = fault.param if isinstance(fault, UnsupportedParameterError) else None
    return _render(fault if isinstance(fault, FinetuneError) else unforeseen(fault), param)


def _render(fault: FinetuneError, param: str | None) -> Response:
    problem = problem_of(fault)
    kind = error_type(problem.status)
    if fault.code == "model_not_found":
        param = "model"
    error = OpenAIError(OpenAIFault(message=fault.message, type=kind, param=param, code=fault.code))
    headers = dict(problem.headers)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(problem.status, msgspec.json.encode(error), JSON, headers)
