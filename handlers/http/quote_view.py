"""The public form of an estimate."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.domain.run.quote import Quote


class SpanView(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of money: if training is as fast as it ever was, as it usually is, or as slow as ever."""

    low: float
    likely: float
    high: float


class HoursEstimateView(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of a job, by the jobs of `runs` earlier runs of the same base model and VM size."""

    low: float
    likely: float
    high: float
    runs: int


_Money = Annotated[float | None, Meta(description="In `currency`; null without a price.")]


class QuoteView(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is estimated to take and to cost."""

    at: datetime
    trained_tokens: Annotated[int, Meta(description="Tokens of the training rows, times the epochs.")]
    training_size: str
    training_nodes: int
    training_hours: Annotated[
        HoursEstimateView | None,
        Meta(description="null until a run of the same base model and VM size has trained."),
    ]
    training_cost: Annotated[SpanView | None, Meta(description="null without a price, or without hours.")]
    endpoint_size: str
    endpoint_nodes: int
    endpoint_hours: Annotated[float, Meta(description="If nothing ends it before.")]
    endpoint_cost: _Money
    total_cost: SpanView | None
    currency: str | None


def quote_view(quote: Quote | None) -> QuoteView | None:
    """What is public of an estimate."""
    if quote is None:
        return None
    hours, training, total = quote.training_hours, quote.training_cost, quote.total_cost
    return QuoteView(
        at=quote.at,
        trained_tokens=quote.trained_tokens,
        training_size=quote.training_size,
        training_nodes=quote.training_nodes,
        training_hours=HoursEstimateView(**msgspec.structs.asdict(hours)) if hours is not None else None,
        training_cost=SpanView(**training._asdict()) if training is not None else None,
        endpoint_size=quote.endpoint_size,
        endpoint_nodes=quote.endpoint_nodes,
        endpoint_hours=quote.endpoint_hours,
        endpoint_cost=quote.endpoint_cost,
        total_cost=SpanView(**total._asdict()) if total is not None else None,
        currency=quote.currency,
    )
