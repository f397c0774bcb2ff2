"""What settings mean together, and what their types cannot say of one alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.domain.fields import Problem
from shared.domain.run.availability import fault_of_hours
from shared.domain.run.bounds import Bounds, check_options
from shared.domain.run.options import LEAST_IDLE_MINUTES, RunOptions
from shared.domain.run.parameters import fault_of_value

_CRON_FIELDS = 6

UNRESOLVED = "@Microsoft.KeyVault("
"""How a setting begins whose reference Azure could not resolve: it is passed to the app as it was written
(https://learn.microsoft.com/azure/app-service/app-service-key-vault-references)."""

RESERVED_VARIABLES = frozenset(
    {
        *("ENGINE_NAME", "WORKER_COUNT", "MAX_MODEL_LEN", "TENSOR_PARALLEL"),
        *("AZUREML_MODEL_DIR", "MLFLOW_MODEL_FOLDER", "HOST", "PORT", "MODEL", "SEED", "DEVICE"),
    }
)
"""Variables of the serving container that the app sets itself, or that its server takes for its own."""

_AT_MOST = {
    ("endpoint_max_lifetime_hours", 168): ("endpoint_lifetime_hours", 24),
    ("max_instance_count", 2): ("deployment_instance_count", 1),
    ("max_live_endpoints", 4): ("deployment_instance_count", 1),
}
"""A bound and its default, and the operator's own choice, which is held to it, with its default."""


def check_each(values: Mapping[str, Any]) -> list[Problem]:
    """Check the settings that were given and could be converted, whatever else is missing."""
    problems = []
    shares = [int(share) for share in values.get("split_percentages", "80,10,10").split(",")]
    if sum(shares) != 100 or min(shares) == 0:
        problems.append(Problem("SPLIT_PERCENTAGES", "must be three shares above 0 that add up to 100"))
    for name in ("advance_schedule", "reconcile_schedule"):
        if name in values and len(values[name].split()) != _CRON_FIELDS:
            problems.append(Problem(name.upper(), "must have six fields, seconds first, e.g. `0 * * * * *`"))
    for (most, usual_most), (chosen, usual) in _AT_MOST.items():
        limit = values.get(most, usual_most)
        if limit != 0 and values.get(chosen, usual) > limit:
            problems.append(Problem(most.upper(), f"must not be below {chosen.upper()}"))
    traffic = values.get("promotion_traffic", (100,))
    if traffic[-1] != 100 or sorted(set(traffic)) != list(traffic):
        problems.append(Problem("PROMOTION_TRAFFIC", "must rise from step to step and end with 100"))
    if 0 < values.get("endpoint_idle_minutes", 0) < LEAST_IDLE_MINUTES:
        message = f"must be 0 for never, or at least {LEAST_IDLE_MINUTES}"
        problems.append(Problem("ENDPOINT_IDLE_MINUTES", message))
    if not re.fullmatch(r"[\x20-\x7e]*", values.get("api_keys") or ""):
        problems.append(Problem("API_KEYS", "must be ASCII: keys travel in HTTP headers"))
    if (values.get("webhook_secret") or "").startswith(UNRESOLVED):
        message = "is a Key Vault reference that Azure has not resolved; may the app read that secret?"
        problems.append(Problem("WEBHOOK_SECRET", message))
    problems += [
        Problem("AVAILABLE", fault)
        for fault in (fault_of_hours(values.get("available") or ""),)
        if fault is not None
    ]
    problems += [
        Problem("FINETUNE_PARAMETERS", f"{name[:64]!r} {fault}")
        for name, value in values.get("finetune_parameters", {}).items()
        if (fault := fault_of_value(value)) is not None
    ]
    if len(set(values.get("serving", ()))) < len(values.get("serving", ())):
        problems.append(Problem("SERVING", "names a strategy twice; name each once"))
    if taken := sorted(RESERVED_VARIABLES & {name.upper() for name in values.get("serving_variables", {})}):
        message = f"must not have {', '.join(taken)}: the app or the container's server sets it"
        problems.append(Problem("SERVING_VARIABLES", message))
    return problems


def check_cost(
    defaults: RunOptions, bounds: Bounds, *, capped: Mapping[str, float | None], listed: bool
) -> list[Problem]:
    """Check that caps can be held, and that a run without a `run.json` is within MAX_RUN_COST.

    Args:
        defaults: The options of such a run.
        bounds: The operator's bounds.
        capped: The caps on cost by the names of their settings.
        listed: Whether sizes without a price of the operator's have that of Azure's price list.
    """
    set_caps = [name for name, cap in capped.items() if cap is not None]
    if not set_caps:
        return []
    sizes = {
        *(defaults.compute_size, *defaults.other_compute_sizes, *bounds.allowed_compute_sizes),
        *(defaults.instance_type, *defaults.other_instance_types, *bounds.allowed_instance_types),
    }
    unpriced = sorted(size for size in sizes if size.lower() not in bounds.prices)
    if unpriced and not listed:
        lacks = f"PRICES_PER_HOUR lacks {', '.join(unpriced)}"
        message = f"needs a price of each VM size; {lacks}, and PRICES is not azure"
        return [Problem(name, message) for name in set_caps]
    return [Problem("MAX_RUN_COST", message) for _, message in check_options(defaults, defaults, bounds)]
