"""What there is to say of one route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec


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
        examples: By name.
        media: Content type.
    """

    types: tuple[Any, ...] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Success:
    """An answer that is no error."""

    description: str
    contents: tuple[Content, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        function: Name of the function, and the operation's id.
        method: In lower case.
        path: Below the route prefix, with `{parameters}`.
        summary: A few words.
        description: What a caller has to know.
        tag: The group that it belongs to.
        auth: How callers authenticate.
        successes: By status.
        errors: Statuses that it may answer besides.
        query: A struct whose fields are the query's parameters.
        headers: Request headers by name, and what they mean.
        request: The body that it takes.
    """

    function: str
    method: str
    path: str
    summary: str
    description: str
    tag: str
    successes: Mapping[int, Success]
    errors: tuple[int, ...] = ()
    auth: AuthScheme = AuthScheme.HOST
    query: type[msgspec.Struct] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    request: Content | None = None
