"""Parts of a request that the emulator does not read: query parameters, headers, fields of the body.

Each would be a silent difference from the service, so each is refused by 501 when the emulator is strict, and
logged otherwise. ``Route`` says what an operation reads.

Of headers, those count that can change what the service does: Azure's own (``x-ms-*``, ``azureml-*`` …),
preconditions (``If-Match`` …), ranges, encodings of the body. All others are ignored, as HTTP wants it:
clients, proxies and tracers add them, and the service ignores them as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from azureml_emulator.core.body_fields import unread_fields
from azureml_emulator.core.http import Request
from azureml_emulator.core.routing import Plane, Route
from azureml_emulator.core.state import EmulatorState

_MEANINGFUL = ("if-", "x-ms-", "x-azureml-", "azureml-", "aml-", "x-http-method")
_MEANINGFUL_NAMES = frozenset({"range", "prefer", "content-encoding", "content-md5", "content-range"})
_WITHOUT_EFFECT = frozenset(
    {
        "x-ms-client-request-id",  # identities and times of a call, for logs
        "x-ms-return-client-request-id",
        "x-ms-correlation-request-id",
        "x-ms-date",
        "x-ms-useragent",
        "x-ms-user-agent",
    }
)
_SIGNATURE = frozenset({"sig", "sv", "ss", "srt", "sp", "se", "st", "spr", "sr", "sip", "skoid", "sktid"})
"""Parameters of a shared access signature; only ``sig`` is checked, the emulator made the others."""


def check(state: EmulatorState, request: Request, route: Route) -> None:
    """Refuses or logs what the operation does not read.

    Raises:
        ServiceError: 501 naming the first such part, if the emulator is strict.
    """
    if route.plane is Plane.CONTROL:
        return
    for part in _unread(request, route):
        state.refuse_unread(request, part)


def _unread(request: Request, route: Route) -> Iterator[str]:
    known = {"api-version", *route.query, *(_SIGNATURE if route.plane is Plane.STORAGE else ())}
    for name in request.query:
        if name not in known:
            yield f"the query parameter {name}"
    for name in request.headers:
        if _is_meaningful(name) and not _matches(name, route.headers):
            yield f"the header {name}"
    if route.plane not in (Plane.STORAGE, Plane.SCORING):  # bytes, and what the container makes of them
        yield from _unread_body(request, route)


def _is_meaningful(name: str) -> bool:
    named = name.startswith(_MEANINGFUL) or name in _MEANINGFUL_NAMES
    return named and name not in _WITHOUT_EFFECT


def _matches(name: str, read: tuple[str, ...]) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in read)


def _unread_body(request: Request, route: Route) -> Iterator[str]:
    """A body that is no JSON is the handler's to refuse, where it reads one."""
    try:
        document = json.loads(request.body or b"null")
    except ValueError:
        document = None if route.body else "text"
    if route.body is not None:
        names = unread_fields(document, route.body)
    elif isinstance(document, dict):
        names = iter(document)
    else:
        names = iter(())
        if document is not None:
            yield "the body"
    for name in names:
        yield f"the field {name} of the body"
