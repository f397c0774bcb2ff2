"""`POST /api/uploads/check`: what validation will say of a dataset's first rows, before anything is sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from handlers.http.responses import Response, json_response
from shared.config import Settings
from shared.domain.dataset import DatasetFile, Issue, NoSink, Split, Verdict, validate_files
from shared.domain.errors import RequestError
from shared.domain.fields import convert_fields
from shared.domain.training.component import USUAL_WINDOW

SHOWN = 20
"""Findings that are shown; the run's report has them all."""


class RowsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows are judged."""

    row_policy: Annotated[str, Meta(pattern=r"\A(strict|drop)\Z", description="As in `run.json`.")] = "strict"


class RowsView(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the rows."""

    verdict: Verdict
    reason: str
    rows: int
    rows_kept: int
    tokens: Annotated[int, Meta(description="Of the rows that were read, estimated.")]
    counts: Annotated[dict[str, int], Meta(description="How often each code was found.")]
    issues: Annotated[list[Issue], Meta(description="The first of them.")]


def check_rows(body: bytes, query: dict[str, str], settings: Settings) -> Response:
    """Validate some rows as a run's own validation does; nothing is kept.

    Args:
        body: JSON Lines, whole lines.
        query: The fields of `RowsQuery`, as text.
        settings: They hold the rules.

    Raises:
        RequestError: 400 for a query that means nothing, and for no rows at all.
    """
    converted, problems = convert_fields(RowsQuery, query, strict=False)
    if problems:
        name, message = problems[0]
        raise RequestError(400, f"{name}: {message}", code="InvalidQuery")
    if not body.strip():
        raise RequestError(400, "there are no rows to check", code="NoRows")
    asked = RowsQuery(**converted)
    options = msgspec.structs.replace(settings.default_options(), row_policy=asked.row_policy)
    rules = settings.validation_rules(options, settings.context_window or USUAL_WINDOW)
    report = validate_files([DatasetFile("train.jsonl", None, [body])], rules, dict.fromkeys(Split, NoSink()))
    view = RowsView(
        verdict=report.verdict,
        reason=report.reason,
        rows=report.rows,
        rows_kept=report.rows_kept,
        tokens=report.tokens.total,
        counts=report.counts,
        issues=report.issues[:SHOWN],
    )
    return json_response(200, view)
