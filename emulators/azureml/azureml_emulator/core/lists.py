"""Lists: which items a query asks for, and the pages that they come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.state import EmulatorState

T = TypeVar("T")
PAGING = ("$top", "$skip")
_NAMES = {
    "ListViewType.ACTIVE_ONLY": "ActiveOnly",
    "ListViewType.ARCHIVED_ONLY": "ArchivedOnly",
    "ListViewType.ALL": "All",
}
"""Views as azure-ai-ml 1.35.2 writes them to registries: the name in Python, not the value."""


def page(
    state: EmulatorState,
    request: Request,
    items: Sequence[T],
    render: Callable[[T], dict[str, Any]],
    size: str = "",
) -> Response:
    """One page of a list: ``value``, and ``nextLink`` while there is more.

    ``$top`` bounds the whole list, ``$skip`` says where the page begins, and no page is longer than the
    switch ``page_size``. ``size`` names a query parameter that makes pages shorter.

    Raises:
        ServiceError: 400 when either is no whole number.
    """
    top = whole_number(state, request, "$top", len(items))
    skip = whole_number(state, request, "$skip", 0)
    longest = state.switches.page_size
    length = min(longest, whole_number(state, request, size, longest) or longest) if size else longest
    end = min(skip + length, top)
    document: dict[str, Any] = {"value": [render(item) for item in items[skip:end]]}
    if end < min(top, len(items)):
        query = urlencode({**request.query, "$skip": end})
        document["nextLink"] = f"{request.base}{request.path}?{query}"
    return json_response(document)


def whole_number(state: EmulatorState, request: Request, name: str, default: int) -> int:
    """A query parameter that counts something.

    Raises:
        ServiceError: 400 when it is no whole number.
    """
    given = request.query.get(name, str(default))
    if not given.isdigit():
        raise state.error(400, f"{name} is '{given}'; it must be a whole number.", code="BadRequest")
    return int(given)


def in_view(state: EmulatorState, request: Request, *, archived: bool) -> bool:
    """Whether ``listViewType`` asks for an item.

    Raises:
        ServiceError: 400 when it is not one of the three views.
    """
    view = request.query.get("listViewType", "ActiveOnly")
    view = _NAMES.get(view, view)
    if view not in ("ActiveOnly", "ArchivedOnly", "All"):
        raise state.error(
            400,
            f"listViewType is '{view}'; it must be ActiveOnly, ArchivedOnly or All.",
            code="BadRequest",
        )
    return view == "All" or archived == (view == "ArchivedOnly")


def has_tags(request: Request, tags: Mapping[str, Any] | None, parameter: str = "tags") -> bool:
    """Whether an item has all tags that the query names: ``one,two=value``."""
    given = tags or {}
    for wanted in filter(None, request.query.get(parameter, "").split(",")):
        name, sign, value = wanted.partition("=")
        if name not in given or (sign and str(given[name]) != value):
            return False
    return True
