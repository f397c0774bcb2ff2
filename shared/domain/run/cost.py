"""A run's node hours, their cost where prices are known, and the hours that its teardown saves.

Hours come from the record's own times, so that they are known for every run at any moment, ended or not:

- Training counts from the job's submission to when its end was seen; that of a job that is stopped, to when
  the run was over. Where MLflow says when the first node started, it counts from then; until then waiting for
  a node is in it, so that it is the most that the nodes can have run.
- An endpoint counts from when its deployment was begun, since its nodes cost from then on, to when it was
  seen to be gone.
- Saved is what the same endpoint would have used since then, each time, had nobody deleted it: the Azure ML
  chat-completion notebook ends with the advice to delete the endpoint, and leaves doing so to its reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from shared.domain.run.bounds import NODES_PARAMETER
from shared.domain.run.job_status import QUEUED
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage

HOUR = timedelta(hours=1)

ASSUMPTION = (
    "Times are those of the stages, but training counts from its first node where that is known. Saved is"
    " against the same endpoint left running until now."
)

NodeHours = Annotated[float, Meta(ge=0)] | None
Amount = (
    Annotated[float, Meta(ge=0, description="In the currency of PRICES_PER_HOUR; null without a price.")]
    | None
)


_Price = Annotated[float, Meta(ge=0, description="Of a node; null without a price.")] | None


class Prices(msgspec.Struct, frozen=True):
    """What VM sizes cost.

    Attributes:
        per_hour: By VM size; sizes are compared without regard to case, as Azure does.
        currency: What they are in, as it is shown, or None.
    """

    per_hour: Mapping[str, float] = {}
    currency: str | None = None

    def of(self, size: str) -> float | None:
        """The price of a VM of that size, or None."""
        return {name.lower(): price for name, price in self.per_hour.items()}.get(size.lower())


NO_PRICES = Prices()


class RunCost(msgspec.Struct, frozen=True, kw_only=True):
    """A run's use of what costs money; a number is None until there is something to count.

    Node hours are hours times the nodes that were there at once.

    Attributes:
        currency: What costs are in, as it was configured.
        training_price_per_hour: What a node of the training job costs.
        endpoint_price_per_hour: What a node of the deployment costs.
        training_node_hours: Of the training job's GPU nodes.
        training_cost: Their price.
        endpoint_live_hours: How long the endpoint was there for callers, or has been until now.
        endpoint_node_hours: Of the deployment's nodes.
        endpoint_cost: Their price.
        saved_node_hours: Of the deployment's nodes since the endpoint was deleted.
        saved_cost: Their price.
        assumption: How all this is counted.
    """

    currency: str | None
    training_price_per_hour: _Price
    endpoint_price_per_hour: _Price
    training_node_hours: NodeHours
    training_cost: Amount
    endpoint_live_hours: NodeHours
    endpoint_node_hours: NodeHours
    endpoint_cost: Amount
    saved_node_hours: NodeHours
    saved_cost: Amount
    assumption: str = ASSUMPTION


def run_cost(run: Run, prices: Prices, now: datetime) -> RunCost:
    """Count what a run has used.

    Args:
        run: The record.
        prices: What VM sizes cost.
        now: UTC; what has not ended counts until then.
    """
    live = _hours(_span(run, Stage.LIVE, Stage.DELETING).until(now), 1)
    training, endpoint = (
        _hours(used.span.until(now), used.nodes) for used in (training_use(run), endpoint_use(run))
    )
    saved = _hours(_span_at_rest(run, now), run.options.instance_count)
    known = prices_of(run, prices)
    training_price = known.of(run.plan.compute_size) if run.plan else None
    endpoint_price = known.of(run.options.instance_type)
    return RunCost(
        currency=known.currency,
        training_price_per_hour=training_price,
        endpoint_price_per_hour=endpoint_price,
        training_node_hours=training,
        training_cost=_amount(training, training_price),
        endpoint_live_hours=live,
        endpoint_node_hours=endpoint,
        endpoint_cost=_amount(endpoint, endpoint_price),
        saved_node_hours=saved,
        saved_cost=_amount(saved, endpoint_price),
    )


class Span(NamedTuple):
    """Time in a state that a run was in several times.

    Attributes:
        ended: Of all the times that are over; None if there was none.
        since: When the one began that goes on (UTC), or None.
    """

    ended: timedelta | None
    since: datetime | None

    def until(self, now: datetime) -> timedelta | None:
        """All of it until `now`; None if it never began."""
        if self.since is None:
            return self.ended
        return (self.ended or timedelta()) + _elapsed(self.since, now)


class Use(NamedTuple):
    """VMs that cost money: their size, how many there are at once, and for how long."""

    size: str | None
    nodes: int
    span: Span


NO_USE = Use(None, 1, Span(None, None))
"""Of a run that has not come so far."""


def training_use(run: Run) -> Use:
    """What the run's training job uses."""
    size, parameters = (run.plan.compute_size, run.plan.parameters) if run.plan else (None, {})
    return Use(size, nodes_of(parameters), _span(run, Stage.TRAINING, Stage.TRAINED))


def endpoint_use(run: Run) -> Use:
    """What the run's deployment uses."""
    span = _span(run, Stage.DEPLOYING, Stage.DELETED)
    return Use(run.options.instance_type, run.options.instance_count, span)


def prices_of(run: Run, prices: Prices) -> Prices:
    """The prices that the run was quoted with, and others of the settings."""
    if run.quote is None:
        return prices
    own = {size.lower(): price for size, price in prices.per_hour.items()}
    return Prices({**own, **run.quote.prices}, run.quote.currency or prices.currency)


def began_computing(run: Run, entered: datetime) -> datetime | None:
    """When the job that a run trains with from `entered` on got its first node; None while it waits for one.

    Until MLflow said it, it counts from the start, unless the job was seen to wait. Of a job that took the
    place of another only the second one's nodes are known: it counts from the start.
    """
    known = run.metrics if run.metrics is not None and run.metrics.began is not None else run.progress
    if run.job_number > 1:
        return entered
    if known is None:
        waits = run.stage is Stage.TRAINING and run.job is not None and run.job.status in QUEUED
        return None if waits else entered
    return max(entered, known.began) if known.began is not None else None


def _span(run: Run, start: Stage, end: Stage) -> Span:
    """From each entry into a stage to that into another, or else to rest."""
    total, begun = None, None
    for entry in run.history:
        if entry.stage is start:
            begun = entry.at
        elif begun is not None and (entry.stage is end or entry.stage.at_rest):
            used_from = began_computing(run, begun) if start is Stage.TRAINING else begun
            total, begun = (total or timedelta()) + _elapsed(used_from or entry.at, entry.at), None
    if begun is not None and start is Stage.TRAINING:
        begun = began_computing(run, begun)
        return Span(total if begun is not None else total or timedelta(), begun)
    return Span(total, begun)


def _span_at_rest(run: Run, now: datetime) -> timedelta | None:
    """How long there was no endpoint since the first was live: each time that it was stopped, and now."""
    total, lived = None, False
    ends = [*(entry.at for entry in run.history[1:]), now]
    for entry, end in zip(run.history, ends, strict=True):
        lived = lived or entry.stage is Stage.LIVE
        if lived and entry.stage.at_rest:
            total = (total or timedelta()) + _elapsed(entry.at, end)
    return total


def _elapsed(start: datetime, end: datetime) -> timedelta:
    return max(end - start, timedelta())


def _hours(span: timedelta | None, nodes: int) -> float | None:
    return None if span is None else round(span / HOUR * nodes, 4)


def _amount(hours: float | None, price: float | None) -> float | None:
    return None if hours is None or price is None else round(hours * price, 2)


def nodes_of(parameters: Mapping[str, str | int | float]) -> int:
    """Nodes of a training job, as its parameters have them: a number, or its digits."""
    try:
        return max(1, int(parameters.get(NODES_PARAMETER, 1)))
    except (ValueError, OverflowError):
        return 1
