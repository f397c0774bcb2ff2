"""`GET /api/health`: whether the app can be built from its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from handlers.http.responses import Response, json_response
from shared.config import SettingsError
from shared.domain.errors import RequestError


class Health(msgspec.Struct, frozen=True):
    """That the app is configured."""

    status: Literal["ok"] = "ok"


def show_health(build: Callable[[], object]) -> Response:
    """Answer 200 if the app is configured.

    The answer is open to everybody, so that it names no setting; the log and every other route do.

    Raises:
        RequestError: 503 if it is not.
    """
    try:
        build()
    except SettingsError as fault:
        message = "a setting is missing or malformed; every route that takes a key names it"
        raise RequestError(503, message, code="Misconfigured") from fault
    return json_response(200, Health())
