"""Reserve a run's share of what all runs may cost in a month."""

from __future__ import annotations

import msgspec

from shared.domain.errors import TransientServiceError
from shared.domain.run.budget import committed, month_of
from shared.domain.run.parts import Budget
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import Reservation
from shared.ports import Services

ATTEMPTS = 20
"""How often a run asks again at once when other runs changed the list meanwhile."""


def reserve_budget(run: Run, cap: float, services: Services) -> Run:
    """Ask whether what a run would cost in this month still fits under the cap, and keep its share if so.

    What each run costs is in its index entry, which was written with its quote. The list of runs that have
    their share is replaced under the ETag that was read before the index was, so that of two runs that ask at
    the same moment the second one counts the first.

    Raises:
        TransientServiceError: If storage or prices cannot be read, or other runs kept changing the list.
    """
    run = _with_price(run, services)
    now = services.now()
    month = month_of(now)
    mine = committed(run).get(month, 0.0)
    for _ in range(ATTEMPTS):
        listed, etag = services.slots.holders(Reservation.MONTH)
        counted = {
            entry.run_id: entry.cost.get(month, 0.0)
            for entry in services.runs.entries()
            if entry.run_id != run.run_id and (entry.billable or entry.run_id in listed)
        }
        others = round(sum(counted.values()), 2)
        fits = others + mine <= cap
        answer = Budget(at=now, month=month, reserved=fits, mine=mine, others=others, cap=cap)
        kept = {run_id for run_id, cost in counted.items() if run_id in listed and cost}
        if not fits or services.slots.replace(Reservation.MONTH, kept | {run.run_id}, etag):
            return msgspec.structs.replace(run, budget=answer)
    raise TransientServiceError(
        "the runs that share the month's budget kept changing", code="BudgetContended"
    )


def _with_price(run: Run, services: Services) -> Run:
    """The run with a price of the size that it is deployed on, which a start may have changed."""
    quote, size = run.quote, run.options.instance_type
    if quote is None or quote.price_of(size) is not None:
        return run
    price = services.prices.of([size]).of(size)
    if price is None:
        return run
    return msgspec.structs.replace(
        run, quote=msgspec.structs.replace(quote, prices={**quote.prices, size.lower(): price})
    )
