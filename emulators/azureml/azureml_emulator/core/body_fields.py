"""Compare a request's body with the type that a handler relies on."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct


def type_error(document: dict[str, Any], kind: type[Struct]) -> str | None:
    """The first field of a body that has a wrong type, as text; None if there is none."""
    try:
        msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def unread_fields(document: Any, kind: Any, path: str = "") -> Iterator[str]:
    """Paths of the fields of a body that its type does not have.

    Args:
        document: The body, already of the right types.
        kind: Its type, or that of a part of it.
        path: Where the part is.
    """
    if get_origin(kind) is UnionType:
        kind = next(one for one in get_args(kind) if one is not type(None))
    if not isinstance(document, dict):
        return
    if isinstance(kind, type) and issubclass(kind, Struct):
        types = get_type_hints(kind)
        for name, value in document.items():
            if name not in types:
                yield f"{path}{name}"
            else:
                yield from unread_fields(value, types[name], f"{path}{name}.")
    elif get_origin(kind) is dict:
        for name, value in document.items():
            yield from unread_fields(value, get_args(kind)[1], f"{path}{name}.")
