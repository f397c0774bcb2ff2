"""Answer 404, in OpenAI's form, for its routes that the app does not offer."""

from __future__ import annotations

from handlers.http.responses import Response
from shared.domain.errors import RequestError


def refuse_route(route: str) -> Response:
    """Say that a route of OpenAI's is none of this app's.

    Raises:
        RequestError: 404, always.
    """
    message = f"this app has no /v1/{route}: its models chat, at POST /api/v1/chat/completions"
    raise RequestError(404, message, code="unknown_url")
