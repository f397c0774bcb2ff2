"""The type of a route: path, authentication, handler and documentation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from handlers.http.requests import BODY_LIMIT_BYTES, Request
from handlers.http.responses import Response
from shared.app import App


class AuthScheme(Enum):
    """How callers of a route authenticate."""

    NONE = "open to everybody"
    HOST = "the function key, checked by the host"
    OWN = "an accepted key, checked by the app"


@dataclass(frozen=True, slots=True)
class Content:
    """A body of one kind.

    Attributes:
        types: What it may be made from; none for text that is not JSON.
        media: Content type.
    """

    types: tuple[Any, ...] = ()
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Success:
    """An answer that is no error."""

    description: str
    contents: tuple[Content, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


Build = Callable[[], App]
"""The app, built when it is first asked for."""

Blocking = Callable[[Request, Build], Response]
Awaiting = Callable[[Request, Build], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One method of one path.

    Attributes:
        function: Name of the function, and the operation's id.
        method: In capitals.
        path: Below `prefix`, with `{parameters}`.
        prefix: What every path but the home page's begins with. The host adds none (`routePrefix` in
            host.json is empty), since only then a function can answer at the app's address itself
            (https://github.com/Azure/azure-functions-host/pull/1102).
        handle: Answers on the event loop, or in a thread if it is `blocking`.
        auth: How callers authenticate.
        advances: Whether answers may name runs to advance.
        described: Whether the OpenAPI document has it; the page for people is no API.
        summary: A few words.
        description: What a caller has to know.
        tag: The group that it belongs to.
        successes: By status.
        errors: Statuses that it may answer besides.
        query: A struct whose fields are the query's parameters.
        headers: Request headers by name, and what they mean.
        request: The body that it takes.
        body_optional: Whether a request may come without it.
        body_limit: Its longest, in bytes.
    """

    function: str
    method: str
    path: str
    handle: Blocking | Awaiting
    summary: str
    description: str
    tag: str
    successes: Mapping[int, Success]
    errors: tuple[int, ...] = ()
    auth: AuthScheme = AuthScheme.HOST
    blocking: bool = True
    advances: bool = False
    described: bool = True
    query: type[msgspec.Struct] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: str = "api/"
    request: Content | None = None
    body_optional: bool = False
    body_limit: int = BODY_LIMIT_BYTES

    @property
    def template(self) -> str:
        """The whole path, as the host reads it."""
        return f"{self.prefix}{self.path}"

    @property
    def methods(self) -> tuple[str, ...]:
        """What the host lets through: HEAD, too, where there is something to GET (RFC 9110)."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)
