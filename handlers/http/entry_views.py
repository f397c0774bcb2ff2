"""The public form of index entries: runs as the list shows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.domain.run.cost import Prices, Use
from shared.domain.run.index import IndexEntry
from shared.domain.run.stages import Stage

WaitingFor = Annotated[
    str | None,
    Meta(
        description="What keeps the run from going on: `training slot, 4 of 4 in use, position 3`, cluster, "
        "quota, capacity, nodes for its job, or a service that is tried again. null while it is at work."
    ),
]
Suspended = Annotated[str | None, Meta(description="Why the run waits for somebody's retry.")]


class EntryCostView(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has used, but for what it uses now: that grows by the hour, from `since` on.

    So the clock alone does not change it. Its use until a time is `node_hours` and the hours since `since`
    times `nodes`, and so is its cost.
    """

    currency: Annotated[str | None, Meta(description="Of PRICES_PER_HOUR, as it is configured.")]
    node_hours: Annotated[float, Meta(ge=0, description="Of VMs for training and for the endpoint.")]
    amount: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="Their cost; null if a price is not known.")
    ]
    since: Annotated[datetime | None, Meta(description="Since when VMs are in use; null if none are.")]
    nodes: Annotated[int, Meta(ge=0, description="How many are.")]
    price_per_hour: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="Of one of them; null if it is not known.")
    ]


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the list shows it."""

    run_id: str
    dataset: str
    stage: Annotated[Stage | None, Meta(description="null if the record cannot be read.")]
    opened_at: datetime | None
    entered_at: datetime | None
    due: datetime | None
    expires_at: datetime | None
    suspended: Suspended
    needs_attention: bool
    waiting_for: WaitingFor
    reason: Annotated[
        str | None, Meta(description="Why it ended, stopped, or needs a person; the run itself has it whole.")
    ]
    acknowledged: Annotated[bool, Meta(description="Whether somebody took note of how it ended.")]
    base_model: Annotated[str | None, Meta(description="With its version, once the run has been planned.")]
    eval_loss: Annotated[float | None, Meta(description="After training, nats per token.")]
    chrf: Annotated[
        float | None,
        Meta(description="Of its evaluation before traffic, of 100; the run has the rest."),
    ]
    cost: EntryCostView


class RunPageView(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list."""

    runs: list[EntryView]
    next: Annotated[str | None, Meta(description="The next page's cursor; null at the end.")]


def entry_view(entry: IndexEntry, now: datetime, prices: Prices) -> EntryView:
    """A run as the list shows it."""
    return EntryView(
        run_id=entry.run_id,
        dataset=entry.dataset,
        stage=entry.stage,
        opened_at=entry.opened,
        entered_at=entry.entered,
        due=entry.due,
        expires_at=entry.expires,
        suspended=entry.suspended,
        needs_attention=entry.needs_attention(now),
        waiting_for=entry.waiting,
        reason=entry.attention or entry.note,
        acknowledged=entry.acknowledged,
        base_model=entry.base_model,
        eval_loss=entry.eval_loss,
        chrf=entry.chrf,
        cost=_cost_view(entry, prices),
    )


def _cost_view(entry: IndexEntry, prices: Prices) -> EntryCostView:
    uses = [use for use in (entry.training_use, entry.endpoint_use) if use.span != (None, None)]
    amounts = [_amount(use, prices) for use in uses]
    known = [amount for amount in amounts if amount is not None]
    now = next((use for use in reversed(uses) if use.span.since is not None), None)
    return EntryCostView(
        currency=prices.currency,
        node_hours=round(sum(map(_node_hours, uses)), 4),
        amount=round(sum(known), 2) if known and len(known) == len(amounts) else None,
        since=now.span.since if now else None,
        nodes=now.nodes if now else 0,
        price_per_hour=_price(now, prices) if now else None,
    )


def _node_hours(use: Use) -> float:
    return (use.span.ended or timedelta()) / timedelta(hours=1) * use.nodes


def _amount(use: Use, prices: Prices) -> float | None:
    price = _price(use, prices)
    return None if price is None else _node_hours(use) * price


def _price(use: Use, prices: Prices) -> float | None:
    return prices.of(use.size) if use.size else None
