"""Request bodies, read up to the platform's limit."""

from starlette.requests import Request

# https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#limits
MAXIMUM_BYTES = 104_857_600


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
