"""`GET /api/runs/{id}` and its report."""

from __future__ import annotations

from datetime import timedelta

from handlers.http.responses import JSON, Response, conditional_response, weak_etag
from handlers.http.run_views import RunView, needs_attention, whole_view
from shared.domain.errors import RequestError
from shared.domain.run.cost import NO_PRICES, Prices
from shared.ports import Services

HTML = "text/html"
JSON_LINES = "application/jsonl"

REPORT_HEADERS = {
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
    # The page brings its style along, and needs nothing else; what a dataset says in it stays text.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
VIEW = RunView.__struct_fields__
"""Part of the ETag, so that a new version of the app does not call an old form of a run the newest."""


def show_run(
    run_id: str,
    *,
    if_none_match: str | None,
    services: Services,
    prices: Prices = NO_PRICES,
    longest_lifetime: timedelta = timedelta(days=7),
) -> Response:
    """Show one run; 304 if the caller's copy is the newest.

    The hours, costs and seconds that the clock alone changes do not make a copy old.

    Args:
        run_id: The run.
        if_none_match: The ETag of the caller's copy.
        services: The ports.
        prices: What VM sizes cost.
        longest_lifetime: Of an endpoint, however often it is extended.

    Raises:
        UnknownRunError: If there is no such run.
    """
    stored = services.runs.load(run_id)
    now = services.now()
    etag = weak_etag(
        (VIEW, stored.etag, stored.suspended, needs_attention(stored, now), prices, longest_lifetime)
    )
    return conditional_response(
        lambda: whole_view(stored, now, prices, longest_lifetime), etag, if_none_match
    )


def show_report(run_id: str, *, accept: str | None, services: Services) -> Response:
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
    return Response(200, report, HTML if html else JSON, REPORT_HEADERS)


def show_evaluation(run_id: str, *, services: Services) -> Response:
    """Show the rows of a run's evaluation as JSON Lines: conversation, expected answer, replies, scores.

    Raises:
        UnknownRunError: If there is no such run.
        RequestError: 404 while no row was asked.
    """
    services.runs.load(run_id)
    stored = services.evaluations.load(run_id)
    if stored is None:
        raise RequestError(404, f"{run_id} was not evaluated yet", code="NoEvaluation")
    return Response(200, stored.body, JSON_LINES, {"X-Content-Type-Options": "nosniff"})


def _prefers_html(accept: str) -> bool:
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    if HTML not in kinds:
        return False
    return JSON not in kinds or kinds.index(HTML) < kinds.index(JSON)
