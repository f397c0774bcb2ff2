"""What runs cost and are committed to cost, by month, and the caps that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.limits import Limits
from shared.domain.run.cost import HOUR, began_computing, training_use
from shared.domain.run.quote import Quote
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage


class Refusal(NamedTuple):
    """Why a run may not cost what it would."""

    code: str
    message: str


class _Use(NamedTuple):
    """Nodes from a time to another, and what they cost in an hour together."""

    start: datetime
    end: datetime
    rate: float


def month_of(moment: datetime) -> str:
    """The calendar month of a time (UTC), as `2026-11`."""
    return f"{moment:%Y-%m}"


def committed(run: Run) -> dict[str, float]:
    """Money by month: what the run has used, and what it goes on to use if nothing ends it before its time.

    Training counts as estimated until it is over, an endpoint with the whole of its lifetime. A run without
    prices, or that will never cost anything, has none.
    """
    if run.quote is None or (run.stage.terminal and not run.billable):
        return {}
    months: dict[str, float] = {}
    for use in _uses(run):
        for month, hours in _by_month(use.start, use.end):
            months[month] = months.get(month, 0.0) + hours * use.rate
    return {month: round(amount, 2) for month, amount in months.items() if amount >= 0.005}


def refused_by_caps(quote: Quote | None, limits: Limits) -> Refusal | None:
    """Why a planned run is not to train: its quote is over MAX_RUN_COST, or a price is missing for a cap."""
    if quote is None or (limits.max_run_cost is None and limits.max_monthly_cost is None):
        return None
    if quote.unpriced:
        message = (
            f"no price is known of {', '.join(quote.unpriced)}, without which no cap on cost can be held; an "
            "operator may add it: setting PRICES_PER_HOUR"
        )
        return Refusal("PriceUnknown", message)
    training, endpoint, likely = quote.training_cost, quote.endpoint_cost, quote.likely_cost
    assert likely is not None, "a quote with all prices has a cost"
    if limits.max_run_cost is None or likely <= limits.max_run_cost:
        return None
    parts = f"{training.likely:.2f} to train and " if training is not None else ""
    message = (
        f"the run would likely cost {_money(likely, quote)} ({parts}{endpoint:.2f} for its endpoint); the "
        f"most is {limits.max_run_cost:g}: use less data, fewer epochs, another size or fewer hours, or have "
        "an operator raise MAX_RUN_COST"
    )
    return Refusal("RunCostExceeded", message)


def refused_by_month(run: Run) -> Refusal | None:
    """Why a run may not go on this month, as it was answered; None if it may, or has not asked."""
    budget = run.budget
    if budget is None or budget.reserved:
        return None
    message = (
        f"the run would likely cost {_money(budget.mine, run.quote)} in {budget.month}, in which other runs "
        f"have used or committed {budget.others:.2f}; the most for all is {budget.cap:g}: wait for another "
        "month, end other runs, or have an operator raise MAX_MONTHLY_COST"
    )
    return Refusal("MonthlyCostExceeded", message)


def training_passes_cap(run: Run, now: datetime, limits: Limits) -> Refusal | None:
    """Why a job is to be canceled: what it cost, and the endpoint with it, is over what the run may cost."""
    quote = run.quote
    caps = []
    if limits.max_run_cost is not None:
        caps.append((limits.max_run_cost, "RunCostExceeded", "that MAX_RUN_COST allows"))
    if run.budget is not None and run.budget.reserved and limits.max_monthly_cost is not None:
        left = max(0.0, run.budget.cap - run.budget.others)
        allowed = f"that were left of MAX_MONTHLY_COST in {run.budget.month}"
        caps.append((left, "MonthlyCostExceeded", allowed))
    if quote is None or not caps:
        return None
    used = training_use(run)
    price, span = quote.price_of(quote.training_size), used.span.until(now)
    if price is None or span is None:
        return None
    hours = span / HOUR * used.nodes
    cap, code, allowed = min(caps)
    spent, endpoint = hours * price, quote.endpoint_cost or 0.0
    if spent + endpoint <= cap:
        return None
    message = (
        f"training has cost {_money(spent, quote)} in {hours:.2f} node hours{_reached(run)}; with "
        f"{endpoint:.2f} for the endpoint that is over the {cap:.2f} {allowed}. The job was canceled: a job "
        "has no model before its end, so that what it learned is lost"
    )
    return Refusal(code, message)


def _reached(run: Run) -> str:
    progress = run.progress
    if progress is None or progress.epoch is None:
        return ""
    return f", to epoch {progress.epoch:.2f}" + (f" of {progress.epochs:g}" if progress.epochs else "")


def _money(amount: float, quote: Quote | None) -> str:
    currency = quote.currency if quote is not None else None
    return f"{amount:.2f} {currency}" if currency else f"{amount:.2f}"


def _uses(run: Run) -> Iterator[_Use]:
    quote = run.quote
    assert quote is not None
    likely = timedelta(hours=quote.training_hours.likely if quote.training_hours is not None else 0.0)
    trains = (quote.price_of(quote.training_size) or 0.0) * quote.training_nodes
    serves = (quote.price_of(run.options.instance_type) or 0.0) * run.options.instance_count
    lifetime = timedelta(hours=run.options.lifetime_hours)
    reached = run.due or run.history[-1].at
    trained = max(reached, quote.at)
    for start, end in _spans(run, Stage.TRAINING, frozenset({Stage.TRAINED, Stage.DELETING})):
        begin = began_computing(run, start) or end or reached
        trained = end or max(begin + likely, reached)
        yield _Use(begin, trained, trains)
    if run.stage is Stage.VALIDATED:
        trained = quote.at + likely
        yield _Use(quote.at, trained, trains)
    for start, end in _spans(run, Stage.DEPLOYING, frozenset()):
        yield _Use(start, end or max(_planned_end(run, start), reached), serves)
    if run.stage in _BEFORE_DEPLOYING:
        yield _Use(trained, trained + lifetime, serves)


def _planned_end(run: Run, deploying_since: datetime) -> datetime:
    """When an endpoint goes if nothing ends it before; one that is being deleted may go at any moment."""
    if run.stage is Stage.DEPLOYING:
        return deploying_since + timedelta(hours=run.options.lifetime_hours)
    return (run.expires_at if run.stage is Stage.LIVE else None) or deploying_since


_BEFORE_DEPLOYING = frozenset({Stage.VALIDATED, Stage.TRAINING, Stage.TRAINED, Stage.REGISTERED})


def _spans(run: Run, start: Stage, ends: frozenset[Stage]) -> Iterator[tuple[datetime, datetime | None]]:
    """From each entry into a stage to the next into one of `ends`, or to rest; None while it lasts."""
    begun: datetime | None = None
    for entry in run.history:
        if entry.stage is start:
            begun = entry.at
        elif begun is not None and (entry.stage in ends or entry.stage.at_rest):
            yield begun, entry.at
            begun = None
    if begun is not None:
        yield begun, None


def _by_month(start: datetime, end: datetime) -> Iterable[tuple[str, float]]:
    """The hours of a span in each calendar month."""
    while start < end:
        first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (first + timedelta(days=32)).replace(day=1)
        until = min(end, following)
        yield month_of(start), (until - start) / HOUR
        start = until
