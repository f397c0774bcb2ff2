"""`GET /api/runs`: list the index by page, optionally filtered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from handlers.http.entry_views import RunPageView, entry_view
from handlers.http.responses import Response, conditional_response, weak_etag
from shared.domain.errors import RequestError
from shared.domain.fields import convert_fields
from shared.domain.run.cost import NO_PRICES, Prices
from shared.domain.run.index import IndexEntry
from shared.domain.run.names import is_run_id
from shared.domain.run.stages import Stage
from shared.ports import Services

PAGES_SEARCHED = 20
"""Pages looked through for one answer; a filter that matches little then answers with a cursor."""

SEARCHED_PAGE = 1000
"""Runs of a page that is filtered, however few are asked for."""

_WITHIN = "~"


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list."""

    # Nothing here may be None: in text, msgspec takes the word "null" for it.
    stage: Annotated[Stage | UnsetType, Meta(description="Only runs in this stage.")] = UNSET
    dataset: Annotated[str | UnsetType, Meta(description="Only runs of this dataset.")] = UNSET
    attention: Annotated[bool, Meta(description="Only runs that need a person.")] = False
    limit: Annotated[int, Meta(ge=1, le=1000, description="Most runs of one answer.")] = 100
    cursor: Annotated[str, Meta(description="`next` of the answer before; nothing at first.")] = ""


def list_runs(
    query: Mapping[str, str],
    services: Services,
    *,
    prices: Prices = NO_PRICES,
    if_none_match: str | None = None,
) -> Response:
    """List runs in order of their id; 304 if the caller's copy says the same.

    Args:
        query: The fields of `RunQuery`, as text; others mean nothing.
        services: The ports.
        prices: What VM sizes cost.
        if_none_match: The ETag of the caller's copy.

    Raises:
        RequestError: 400 for a query that means nothing.
    """
    asked = read_query(query)
    now = services.now()
    filtered = asked.attention or asked.stage is not UNSET or asked.dataset is not UNSET

    def wanted(entry: IndexEntry) -> bool:
        return (
            (asked.stage is UNSET or entry.stage is asked.stage)
            and (asked.dataset is UNSET or entry.dataset == asked.dataset)
            and (not asked.attention or entry.needs_attention(now))
        )

    found: list[IndexEntry] = []
    cursor, after = _read_cursor(asked.cursor)
    for _ in range(PAGES_SEARCHED):
        page = services.runs.page(limit=SEARCHED_PAGE if filtered else asked.limit, cursor=cursor)
        found.extend(entry for entry in page.entries if _sort_key(entry.run_id) > after and wanted(entry))
        if len(found) > asked.limit:
            del found[asked.limit :]
            cursor = f"{cursor or ''}{_WITHIN}{found[-1].run_id}"
            break
        cursor, after = page.next, ""
        if cursor is None or len(found) == asked.limit:
            break
    view = RunPageView(runs=[entry_view(entry, now, prices) for entry in found], next=cursor)
    return conditional_response(lambda: view, weak_etag(view), if_none_match)


def _read_cursor(cursor: str) -> tuple[str | None, str]:
    """Where to continue: the store's page, and the sort key after which."""
    page, _, run_id = cursor.partition(_WITHIN)
    if run_id and not is_run_id(run_id):
        raise RequestError(
            400, "the cursor is not valid for this list; start again without a cursor", code="InvalidCursor"
        )
    return page or None, _sort_key(run_id) if run_id else ""


def _sort_key(run_id: str) -> str:
    """In the order of the store, whose names have a dot after the run's id."""
    return f"{run_id}."


def read_query(query: Mapping[str, str]) -> RunQuery:
    """Read a query string.

    Raises:
        RequestError: 400, naming the first parameter that means nothing.
    """
    converted, problems = convert_fields(RunQuery, query, strict=False)
    if problems:
        name, message = problems[0]
        raise RequestError(400, f"{name}: {message}", code=f"Invalid{name.capitalize()}")
    return RunQuery(**converted)
