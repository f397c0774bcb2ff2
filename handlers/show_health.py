"""`GET /api/health`: whether the app can be built from its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from handlers.http import Answer, json_answer
from shared.config import SettingsError


class Health(msgspec.Struct, frozen=True):
    """Whether the app is configured."""

    status: Literal["ok", "misconfigured"]


def show_health(build: Callable[[], object]) -> Answer:
    """Answer 200 if the app is configured, 503 if not.

    The answer is open to everybody, so that it names no setting; the log and every other route do.
    """
    try:
        build()
    except SettingsError:
        return json_answer(503, Health("misconfigured"))
    return json_answer(200, Health("ok"))
