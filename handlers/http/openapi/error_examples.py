"""An example of each error, by its status, in both forms."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from handlers.http.errors import Problem
from handlers.http.openai.errors import OpenAIError, OpenAIFault, error_type
from handlers.http.openapi.run_examples import RUN_ID

_OF_STATUS = {
    400: ("MalformedJson", "the body is not JSON: Input data was truncated"),
    401: ("Unauthorized", "a valid key is needed"),
    404: ("UnknownRun", f"there is no run {RUN_ID}"),
    409: ("NotLiveYet", f"{RUN_ID} is not live yet: its run is deploying"),
    410: ("EndpointGone", f"{RUN_ID} is gone: its run is deleted"),
    413: ("PayloadTooLarge", "the body is over 1024 KiB"),
    422: ("LifetimeExceeded", f"{RUN_ID} may live until 2026-03-08 15:20 UTC at the longest"),
    429: ("TooManyRequests", "the endpoint is busy; try again later"),
    500: ("InternalError", "the app failed unexpectedly; its log has the reason"),
    502: ("EndpointError", "the endpoint answered 500"),
    503: ("TransientService", "reading the record: the server is busy"),
    504: ("EndpointTimeout", "the endpoint did not answer in time"),
}

_OF_OPENAI = {
    400: ("unsupported_parameter", "n is not supported: one reply a request", "n"),
    401: ("invalid_api_key", "the key is not one of API_KEYS", None),
    404: (
        "model_not_found",
        "no live model is called support; GET /api/v1/models lists those that are live",
        "model",
    ),
}


def problem_example(status: int) -> dict[str, Any]:
    """A problem of that status; of the endpoint's own fault with its response."""
    code, detail = _OF_STATUS[status]
    problem = Problem(title=HTTPStatus(status).phrase, status=status, code=code, detail=detail)
    if status == 502:
        problem = msgspec.structs.replace(problem, upstream_status=500, upstream_request_id="5f0c1d2e")
    found: dict[str, Any] = msgspec.to_builtins(problem)
    return found


def openai_example(status: int) -> dict[str, Any]:
    """An error of that status as OpenAI's clients read it."""
    code, message, param = _OF_OPENAI.get(status) or (*_OF_STATUS[status], None)
    fault = OpenAIFault(message=message, type=error_type(status), param=param, code=code)
    found: dict[str, Any] = msgspec.to_builtins(OpenAIError(fault))
    return found
