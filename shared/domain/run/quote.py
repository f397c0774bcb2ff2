"""What a run is estimated to take and to cost, before anything of it costs money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from shared.domain.run.job_time import Hours, HoursEstimate
from shared.domain.run.options import Name
from shared.domain.run.parts import Moment

Price = Annotated[float, Meta(ge=0, le=1e6)]


class Span(NamedTuple):
    """An amount of money: at least, likely, at most."""

    low: float
    likely: float
    high: float


class Quote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The estimate of one run. Money is None where a price or the time is not known.

    Attributes:
        at: When it was made (UTC).
        trained_tokens: Tokens that training goes through.
        training_hours: How long the job takes; None until a run of the same base model and size has trained.
        endpoint_hours: How long the endpoint lives if nothing ends it before.
        prices: Per hour, by VM size in lower case, of every size that the run may use.
        currency: What they are in.
    """

    at: Moment
    trained_tokens: int
    training_size: Name
    training_nodes: int
    training_hours: HoursEstimate | None
    endpoint_size: Name
    endpoint_nodes: int
    endpoint_hours: Hours
    prices: dict[str, Price] = {}
    currency: str | None = None

    @property
    def training_cost(self) -> Span | None:
        """Money that the job costs."""
        price, hours = self.price_of(self.training_size), self.training_hours
        if price is None or hours is None:
            return None
        each = price * self.training_nodes
        return Span(*(round(each * span, 2) for span in (hours.low, hours.likely, hours.high)))

    @property
    def endpoint_cost(self) -> float | None:
        """Money that the endpoint costs in its whole life."""
        price = self.price_of(self.endpoint_size)
        return None if price is None else round(price * self.endpoint_nodes * self.endpoint_hours, 2)

    @property
    def total_cost(self) -> Span | None:
        """Both together."""
        training, endpoint = self.training_cost, self.endpoint_cost
        if training is None or endpoint is None:
            return None
        return Span(*(round(part + endpoint, 2) for part in training))

    @property
    def likely_cost(self) -> float | None:
        """What the run likely costs; without an estimate of its training, what its endpoint does."""
        endpoint, training = self.endpoint_cost, self.training_cost
        if endpoint is None:
            return None
        return round(endpoint + (training.likely if training is not None else 0.0), 2)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The sizes of which no price is known."""
        sizes = dict.fromkeys((self.training_size, self.endpoint_size))
        return tuple(size for size in sizes if self.price_of(size) is None)

    def price_of(self, size: str) -> float | None:
        """What a VM of a size costs in an hour, or None."""
        return price_in(self.prices, size)


def price_in(prices: Mapping[str, float], size: str) -> float | None:
    """A price by size; sizes are compared without regard to case, as Azure does."""
    return prices.get(size.lower())
