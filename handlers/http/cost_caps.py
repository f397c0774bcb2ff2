"""Hold what callers ask of endpoints to the caps on cost."""

from __future__ import annotations

from shared.domain.errors import RequestError
from shared.domain.limits import Limits
from shared.domain.run.budget import committed, month_of
from shared.domain.run.run import Run
from shared.ports import Services


def check_caps(changed: Run, limits: Limits, services: Services) -> None:
    """Refuse a change of a run that would let it cost more than it may.

    A run that starts again asks for its share of the month once more when it is deployed, and waits for it.

    Args:
        changed: The run as it would be.
        limits: They have the caps.
        services: The ports.

    Raises:
        RequestError: 422 with the cap, what the run would cost, and whose setting it is.
    """
    if changed.quote is None:
        return
    costs = committed(changed)
    total = sum(costs.values())
    if limits.max_run_cost is not None and total > limits.max_run_cost:
        message = (
            f"{changed.run_id} would cost {total:.2f} in all; the most is {limits.max_run_cost:g}: ask for "
            "fewer hours, or have an operator raise MAX_RUN_COST"
        )
        raise RequestError(422, message, code="RunCostExceeded")
    if limits.max_monthly_cost is None:
        return
    month = month_of(services.now())
    others = sum(
        entry.cost.get(month, 0.0) for entry in services.runs.entries() if entry.run_id != changed.run_id
    )
    mine = costs.get(month, 0.0)
    if others + mine > limits.max_monthly_cost:
        message = (
            f"{changed.run_id} would cost {mine:.2f} in {month}, in which other runs have used or committed "
            f"{others:.2f}; the most for all is {limits.max_monthly_cost:g}: setting MAX_MONTHLY_COST"
        )
        raise RequestError(422, message, code="MonthlyCostExceeded")
