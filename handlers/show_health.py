"""`GET /api/health`: whether the app can be built from its settings."""

from __future__ import annotations

from collections.abc import Callable

from handlers.http import Answer, json_answer
from shared.config import SettingsError


def show_health(build: Callable[[], object]) -> Answer:
    """Answer 200 if the app is configured, 503 if not.

    The answer is open to everybody, so that it names no setting; the log and every other route do.
    """
    try:
        build()
    except SettingsError:
        return json_answer(503, {"status": "misconfigured"})
    return json_answer(200, {"status": "ok"})
