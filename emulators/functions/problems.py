"""Answers in the form of RFC 9457 problem details."""

from http import HTTPStatus

from starlette.responses import JSONResponse


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An `application/problem+json` answer that says what was wrong, and never how it looks inside."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return JSONResponse(content, status, headers, media_type="application/problem+json")
