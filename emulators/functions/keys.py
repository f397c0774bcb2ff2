"""The host's key, which opens everything that asks for one: functions of level FUNCTION, and webhooks."""

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import Request

KEY_SETTING = "FUNCTIONS_EMULATOR_KEY"
"""Environment variable that gives the host its key; the app does not see it."""


def presented_key(request: Request) -> str | None:
    """The key that a request carries in its `x-functions-key` header or else its `code` parameter."""
    return request.headers.get("x-functions-key") or request.query_params.get("code")


def check_key(request: Request, key: str) -> None:
    """Let a request pass that carries the key.

    Raises:
        HTTPException: 401; it does not.
    """
    presented = presented_key(request) or ""
    if not hmac.compare_digest(presented.encode(errors="replace"), key.encode()):
        raise HTTPException(401, "the key is needed, as the x-functions-key header or the code parameter")
