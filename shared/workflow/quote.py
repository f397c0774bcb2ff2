"""Estimate what a run takes and costs: prices, and the times of earlier jobs, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from shared.config import Settings
from shared.domain.dataset import Split
from shared.domain.errors import TransientServiceError
from shared.domain.run.cost import Prices, nodes_of
from shared.domain.run.job_time import JobTime, estimate_hours, time_key, trained_tokens
from shared.domain.run.options import RunOptions
from shared.domain.run.parts import ReportSummary, TrainingPlan
from shared.domain.run.quote import Quote
from shared.domain.run.run import Run
from shared.logs import get_logger
from shared.ports import Services

_log = get_logger(__name__)


class Amount(NamedTuple):
    """How much data a run has, as validation counted it: tokens and rows of all splits, rows to train on."""

    tokens: int
    rows: int
    training_rows: int


def amount_of(report: ReportSummary) -> Amount:
    """The amount of data of a validated run."""
    return Amount(report.tokens, sum(report.rows.values()), report.rows.get(Split.TRAIN, 0))


class Settled(NamedTuple):
    """What preflight made of a run's options, as far as an estimate needs it.

    Attributes:
        plan: What would be submitted.
        endpoint_size: The VM size of the deployment.
        name_of: Spells a VM size as Azure does.
    """

    plan: TrainingPlan
    endpoint_size: str
    name_of: Callable[[str], str]


def make_quote(
    options: RunOptions, settled: Settled, amount: Amount, settings: Settings, services: Services
) -> Quote:
    """Estimate a run.

    Args:
        options: The run's options.
        settled: What preflight made of them.
        amount: How much data there is.
        settings: The app's settings.
        services: The ports.

    Raises:
        TransientServiceError: If storage cannot be read, or prices, where a cap on cost is set.
    """
    plan = settled.plan
    nodes = nodes_of(plan.parameters)
    tokens = _trained_tokens(plan, amount)
    earlier = services.job_times.recall(_key(plan))
    own = (plan.compute_size, *options.other_compute_sizes, options.instance_type)
    names = {settled.name_of(size) for size in (*own, *options.other_instance_types)}
    prices = _prices(names, settings, services)
    return Quote(
        at=services.now(),
        trained_tokens=tokens,
        training_size=plan.compute_size,
        training_nodes=nodes,
        training_hours=estimate_hours(tokens, earlier),
        endpoint_size=settled.endpoint_size,
        endpoint_nodes=options.instance_count,
        endpoint_hours=options.lifetime_hours,
        prices={name.lower(): price for name in names if (price := prices.of(name)) is not None},
        currency=prices.currency,
    )


def remember_job_time(run: Run, services: Services) -> None:
    """Keep how long a run's job took, as far as MLflow says it, for the quotes of later runs."""
    metrics, plan = run.metrics, run.plan
    if metrics is None or plan is None or run.report is None or run.job_number > 1:
        return
    if metrics.began is None or metrics.ended is None or metrics.ended <= metrics.began:
        return
    seconds = (metrics.ended - metrics.began).total_seconds()
    tokens = _trained_tokens(plan, amount_of(run.report))
    services.job_times.remember(_key(plan), JobTime(run_id=run.run_id, tokens=tokens, seconds=seconds))


def _trained_tokens(plan: TrainingPlan, amount: Amount) -> int:
    gpus = plan.gpus_per_node * nodes_of(plan.parameters)
    return trained_tokens(*amount, gpus, plan.parameters)


def _key(plan: TrainingPlan) -> str:
    return time_key(plan.base_model_name, plan.compute_size, nodes_of(plan.parameters), plan.parameters)


def _prices(names: set[str], settings: Settings, services: Services) -> Prices:
    try:
        return services.prices.of(names)
    except TransientServiceError as fault:
        if settings.caps_cost:
            raise
        # Nothing depends on them: the run shows no money.
        _log.warning("prices cannot be read", extra={"code": fault.code})
        return settings.own_prices
