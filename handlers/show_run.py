"""`GET /api/runs/{id}` and its report."""

from __future__ import annotations

from collections.abc import Mapping

from handlers.http import JSON, Answer, json_answer
from handlers.run_view import run_view
from shared.domain.errors import RequestError
from shared.ports import Services

HTML = "text/html"


def show_run(
    run_id: str,
    *,
    if_none_match: str | None,
    services: Services,
    prices: Mapping[str, float] | None = None,
) -> Answer:
    """Show one run; 304 if the caller's copy is the newest.

    What the clock alone changes, the time left and the money, does not make a copy old.

    Args:
        run_id: The run.
        if_none_match: The ETag of the caller's copy.
        services: The ports.
        prices: Prices per hour by VM size.

    Raises:
        UnknownRunError: If there is no such run.
    """
    run, etag = services.runs.load(run_id)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if if_none_match is not None and etag in if_none_match:
        return Answer(304, b"", JSON, headers)
    return json_answer(200, run_view(run, services.now(), prices or {}), headers=headers)


def show_report(run_id: str, *, accept: str | None, services: Services) -> Answer:
    """Show a run's validation report: a page for browsers, JSON for everybody else.

    Raises:
        UnknownRunError: If there is no such run.
        RequestError: 404 while there is no report.
    """
    services.runs.load(run_id)
    html = _prefers_html(accept or "")
    report = services.reports.load(run_id, html=html)
    if report is None:
        raise RequestError(404, f"{run_id} has no validation report yet", code="NoReport")
    return Answer(200, report, HTML if html else JSON, {"Vary": "Accept"})


def _prefers_html(accept: str) -> bool:
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    if HTML not in kinds:
        return False
    return JSON not in kinds or kinds.index(HTML) < kinds.index(JSON)
