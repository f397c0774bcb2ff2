"""`GET /api/health`: whether the app can be built from its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from handlers.http.responses import Response, json_response


class Health(msgspec.Struct, frozen=True):
    """That the app is configured."""

    status: Literal["ok"] = "ok"


def show_health(build: Callable[[], object]) -> Response:
    """Answer 200 if the app can be built.

    Raises:
        RequestError: 503 if it cannot, as for every route that is open to everybody.
    """
    build()
    return json_response(200, Health())
