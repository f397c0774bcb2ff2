"""`GET /api/runs`: the index, a page at a time, optionally filtered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from handlers.http import Answer, json_answer
from handlers.run_view import RunPageView, entry_view
from shared.domain.errors import RequestError
from shared.domain.fields import convert_fields
from shared.domain.index import IndexEntry
from shared.domain.stages import Stage
from shared.ports import Services

PAGES_SEARCHED = 20
"""Pages looked through for one answer; a filter that matches little then answers with a cursor."""


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list."""

    # Nothing here may be None: in text, msgspec takes the word "null" for it.
    stage: Annotated[Stage | UnsetType, Meta(description="Only runs in this stage.")] = UNSET
    dataset: Annotated[str | UnsetType, Meta(description="Only runs of this dataset.")] = UNSET
    attention: Annotated[bool, Meta(description="Only runs that need a person.")] = False
    limit: Annotated[int, Meta(ge=1, le=1000, description="Most runs of one answer.")] = 100
    cursor: Annotated[str, Meta(description="`next` of the answer before; nothing at first.")] = ""


def list_runs(query: Mapping[str, str], services: Services) -> Answer:
    """List runs in order of their id.

    Args:
        query: The fields of `RunQuery`, as text; others mean nothing.
        services: The ports.

    Raises:
        RequestError: 400 for a query that means nothing.
    """
    asked = read_query(query)
    now = services.now()

    def wanted(entry: IndexEntry) -> bool:
        return (
            (asked.stage is UNSET or entry.stage is asked.stage)
            and (asked.dataset is UNSET or entry.dataset == asked.dataset)
            and (not asked.attention or entry.needs_attention(now))
        )

    found: list[IndexEntry] = []
    cursor = asked.cursor or None
    for _ in range(PAGES_SEARCHED):
        page = services.runs.page(limit=asked.limit - len(found), cursor=cursor)
        found.extend(filter(wanted, page.entries))
        cursor = page.next
        if cursor is None or len(found) >= asked.limit:
            break
    return json_answer(200, RunPageView(runs=[entry_view(entry, now) for entry in found], next=cursor))


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
