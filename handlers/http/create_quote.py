"""`POST /api/quotes`: what a run would take and cost, without a run."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from handlers.http.quote_view import QuoteView, quote_view
from handlers.http.requests import read_object
from handlers.http.responses import Response, json_response
from handlers.http.show_preflight import RunJson
from shared.config import Settings
from shared.domain.errors import InvalidRunError, RequestError
from shared.domain.run.budget import month_of, refused_by_caps
from shared.domain.run.quote import Quote
from shared.domain.run.run_json import override_options
from shared.ports import Services
from shared.workflow.quote import Amount, make_quote
from shared.workflow.steps.plan_training import preflight

_ANY_DATASET = "dataset"
MOST = 10**13


class QuoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much data a run would have, and its options."""

    tokens: Annotated[int, Meta(ge=1, le=MOST, description="Of all rows, as a dataset report has them.")]
    rows: Annotated[int, Meta(ge=1, le=MOST, description="Of all splits.")]
    training_rows: Annotated[
        Annotated[int, Meta(ge=1, le=MOST)] | None,
        Meta(description="Of the training split; null is the share that SPLIT_PERCENTAGES gives it."),
    ] = None
    options: Annotated[RunJson | UnsetType, Meta(description="What the `run.json` would hold.")] = (  # type: ignore[valid-type]
        UNSET
    )


class _Received(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tokens: Annotated[int, Meta(ge=1, le=MOST)]
    rows: Annotated[int, Meta(ge=1, le=MOST)]
    training_rows: Annotated[int, Meta(ge=1, le=MOST)] | None = None
    options: msgspec.Raw = msgspec.Raw(b"{}")


class RefusalView(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run would be rejected for what it costs."""

    code: str
    message: str


class MonthView(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of a calendar month (UTC) may cost, and what of it is used or committed."""

    month: str
    used: float
    cap: float


class QuoteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The estimate of a run, and whether it may cost that."""

    quote: QuoteView
    refusal: Annotated[
        RefusalView | None, Meta(description="null if MAX_RUN_COST and MAX_MONTHLY_COST allow it now.")
    ]
    month: Annotated[MonthView | None, Meta(description="null without MAX_MONTHLY_COST.")]


def create_quote(body: bytes, settings: Settings, services: Services) -> Response:
    """Estimate a run as its own planning would.

    Args:
        body: A `QuoteRequest`.
        settings: They hold where its options say nothing.
        services: The ports.

    Raises:
        RequestError: 400 or 413 for other bodies.
        InvalidRunError: Such a run would be refused whatever it costs.
        ServiceRefusedError: Azure ML may not be asked.
        TransientServiceError: Azure ML, or the price list, could not be reached.
    """
    read_object(body)
    try:
        asked = msgspec.json.decode(body, type=_Received)
    except msgspec.ValidationError as fault:
        message = f"the body must have tokens, rows, and options as of a run.json: {fault}"
        raise RequestError(400, message, code="InvalidQuote") from fault
    options, problems = override_options(settings.default_options(), bytes(asked.options), settings.bounds())
    if problems:
        raise InvalidRunError("; ".join(map(str, problems)), code="InvalidOptions")
    if asked.training_rows is not None and asked.training_rows > asked.rows:
        message = f"training_rows is {asked.training_rows}; it must be at most rows, {asked.rows}"
        raise RequestError(400, message, code="InvalidQuote")
    share = int(settings.split_percentages.partition(",")[0]) / 100
    training_rows = asked.training_rows or max(1, round(asked.rows * share))
    settled = preflight(options, _ANY_DATASET, settings, services)
    amount = Amount(asked.tokens, asked.rows, training_rows)
    quote = make_quote(options, settled.for_quote, amount, settings, services)
    month = _month(settings, services)
    view = quote_view(quote)
    assert view is not None
    return json_response(200, QuoteAnswer(quote=view, refusal=_refusal(quote, month, settings), month=month))


def _month(settings: Settings, services: Services) -> MonthView | None:
    if settings.max_monthly_cost is None:
        return None
    month = month_of(services.now())
    used = sum(entry.cost.get(month, 0.0) for entry in services.runs.entries())
    return MonthView(month=month, used=round(used, 2), cap=settings.max_monthly_cost)


def _refusal(quote: Quote, month: MonthView | None, settings: Settings) -> RefusalView | None:
    refused = refused_by_caps(quote, settings.limits())
    if refused is not None:
        return RefusalView(code=refused.code, message=refused.message)
    if month is None or quote.likely_cost is None or month.used + quote.likely_cost <= month.cap:
        return None
    message = (
        f"the run would likely cost {quote.likely_cost:.2f}; of the {month.cap:g} that MAX_MONTHLY_COST "
        f"allows in {month.month}, runs have used or committed {month.used:.2f}"
    )
    return RefusalView(code="MonthlyCostExceeded", message=message)
