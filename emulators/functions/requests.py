"""What every endpoint of the host needs: keys, bodies up to the platform's limit, and problems (RFC 9457)."""

import hmac
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse

# https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#limits
MAXIMUM_BYTES = 104_857_600


@dataclass(frozen=True, slots=True)
class Keys:
    """The host's two keys; the master key opens everything that the function key opens.

    Attributes:
        function: For functions of auth level FUNCTION, and for the blob webhook.
        master: For functions of auth level ADMIN, and for `/admin`.
    """

    function: str
    master: str

    def allows(self, auth_level: str, request: Request) -> bool:
        """Whether a request carries a key that a level asks for.

        Args:
            auth_level: ANONYMOUS, FUNCTION or ADMIN.
            request: Its `x-functions-key` header or else its `code` parameter is looked at.
        """
        if auth_level.upper() == "ANONYMOUS":
            return True
        presented = presented_key(request) or ""
        # Both comparisons always run: the time taken tells nothing about either key.
        is_function_key = _equal(presented, self.function)
        is_master_key = _equal(presented, self.master)
        return is_master_key or (is_function_key and auth_level.upper() == "FUNCTION")


def presented_key(request: Request) -> str | None:
    """The key that a request carries, or None."""
    return request.headers.get("x-functions-key") or request.query_params.get("code")


def _equal(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode(errors="replace"), expected.encode())


def problem(status: int, detail: str) -> JSONResponse:
    """An `application/problem+json` answer that says what was wrong, and never how it looks inside."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return JSONResponse(content, status, media_type="application/problem+json")


class BodyTooLargeError(Exception):
    """A request body is larger than the platform takes."""


async def read_body(request: Request) -> bytes:
    """The whole body of a request.

    Raises:
        BodyTooLargeError: It is over 100 MB, as declared or as counted while reading.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAXIMUM_BYTES:
        raise BodyTooLargeError(f"the body is larger than {MAXIMUM_BYTES} bytes")
    chunks: list[bytes] = []
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > MAXIMUM_BYTES:
            raise BodyTooLargeError(f"the body is larger than {MAXIMUM_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
