"""A request and a response, free of any web framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec


class Chunks(Protocol):
    """A body that comes piece by piece."""

    def __next__(self) -> bytes: ...

    def close(self) -> None:
        """Ends it, whether or not it was read to its end."""
        ...


@dataclass(slots=True)
class Response:
    """A response: status, body as it goes on the wire, headers.

    Attributes:
        pause: Seconds between the first half of the body and the second, for slow responses.
        chunks: The body piece by piece, in place of ``body``. It is closed when the client disconnects;
            ``ConnectionAbortedError`` from it cuts the connection.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    chunks: Chunks | None = None


def json_response(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response that carries JSON; None becomes the four bytes ``null``, which the service does send."""
    return Response(
        status,
        msgspec.json.encode(document),
        {"Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )


@dataclass(slots=True, kw_only=True)
class Request:
    """One request, with the path already taken apart.

    Attributes:
        base: Scheme, host and port under which the client reached the emulator, no slash at the end.
        headers: Lower-case names.
        parameters: Named pieces of the path.
        claims: Of the bearer token, once it has been checked; empty on open routes.
        body_type: The type that the operation's body has to have; None where it reads none.
    """

    method: str
    path: str
    base: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    parameters: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    body_type: type[msgspec.Struct] | None = None

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]
