"""The description as an answer."""

from __future__ import annotations

from functools import cache

import msgspec

from handlers.http.responses import JSON, Response
from handlers.http.route import Route


def show_openapi(routes: tuple[Route, ...]) -> Response:
    """Answer with the description; it is open to everybody and the same for all."""
    return Response(200, _encoded(routes), JSON, {"Cache-Control": "max-age=300"})


@cache
def _encoded(routes: tuple[Route, ...]) -> bytes:
    # Nobody's cold start pays for it but that of whoever asks.
    from handlers.http.openapi.document import openapi_document

    return msgspec.json.encode(openapi_document(routes))
