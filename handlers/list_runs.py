"""`GET /api/runs`: the index, a page at a time, optionally filtered."""

from __future__ import annotations

from collections.abc import Mapping

from handlers.http import Answer, json_answer
from handlers.run_view import RunPageView, entry_view
from shared.domain.errors import RequestError
from shared.domain.index import IndexEntry
from shared.domain.stages import Stage
from shared.ports import Services

PAGE = 100
LARGEST_PAGE = 1000
PAGES_SEARCHED = 20
"""Pages looked through for one answer; a filter that matches little then answers with a cursor."""


def list_runs(query: Mapping[str, str], services: Services) -> Answer:
    """List runs in order of their id.

    Args:
        query: `limit` (1-1000, default 100), `cursor` (an earlier answer's `next`), `stage`, `dataset`,
            `attention=true` for those that need a person.
        services: The ports.

    Raises:
        RequestError: 400 for a query that means nothing.
    """
    limit = _limit(query.get("limit"))
    stage = _stage(query.get("stage"))
    dataset = query.get("dataset")
    attention = query.get("attention", "false").lower() == "true"
    now = services.now()

    def wanted(entry: IndexEntry) -> bool:
        return (
            (stage is None or entry.stage is stage)
            and (dataset is None or entry.dataset == dataset)
            and (not attention or entry.needs_attention(now))
        )

    found: list[IndexEntry] = []
    cursor = query.get("cursor") or None
    for _ in range(PAGES_SEARCHED):
        page = services.runs.page(limit=limit - len(found), cursor=cursor)
        found.extend(filter(wanted, page.entries))
        cursor = page.next
        if cursor is None or len(found) >= limit:
            break
    return json_answer(200, RunPageView(runs=[entry_view(entry, now) for entry in found], next=cursor))


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= LARGEST_PAGE):
        raise RequestError(400, f"limit must be a number from 1 to {LARGEST_PAGE}", code="InvalidLimit")
    return int(text)


def _stage(text: str | None) -> Stage | None:
    if text is None:
        return None
    try:
        return Stage(text)
    except ValueError as fault:
        stages = ", ".join(Stage)
        raise RequestError(400, f"stage must be one of {stages}", code="InvalidStage") from fault
