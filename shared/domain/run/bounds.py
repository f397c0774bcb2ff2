"""The operator's bounds on what a `run.json` may request.

A run that is over a bound is rejected before anything is asked of Azure ML. Each message names the key, the
value, the bound, and the setting by which an operator may change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase

import msgspec

from shared.domain.fields import Problem
from shared.domain.run.availability import fault_of_hours
from shared.domain.run.options import LEAST_IDLE_MINUTES, SERVERLESS, ParameterValue, RunOptions
from shared.domain.run.parameters import PARAMETERS, fault_of_parameter, shown

NODES_PARAMETER = "num_nodes_finetune"
"""Input of the training component: nodes of its fine-tuning step (its default is 1)."""

MOST_HINTS = 20
"""Unknown names for which the nearest known one is looked up, which takes a while for each."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What runs are held to; each field is the setting of the same name.

    Attributes:
        allowed_computes: Clusters, beside the operator's own and `serverless`; `name*` is a prefix.
        allowed_compute_sizes: VM sizes for training, beside the operator's own.
        allowed_instance_types: VM sizes of deployments, beside the operator's own.
        allowed_parameters: Parameters, beside the closed list.
        max_run_cost: Most that a run may cost.
        prices: Price per hour by VM size in lower case; where a size has none, its cost is not bounded.
    """

    allowed_computes: tuple[str, ...]
    allowed_compute_sizes: tuple[str, ...]
    allowed_instance_types: tuple[str, ...]
    allowed_parameters: tuple[str, ...]
    compute_max_nodes: int
    max_instance_count: int
    max_live_endpoints: int
    max_epochs: int
    max_steps: int
    max_batch_size: int
    endpoint_max_lifetime_hours: float
    max_run_cost: float | None
    prices: Mapping[str, float]

    @property
    def of_parameters(self) -> Mapping[str, float]:
        """The bounds of parameters, by the name of their setting."""
        return {
            "COMPUTE_MAX_NODES": self.compute_max_nodes,
            "MAX_EPOCHS": self.max_epochs,
            "MAX_STEPS": self.max_steps,
            "MAX_BATCH_SIZE": self.max_batch_size,
        }


def check_options(options: RunOptions, defaults: RunOptions, bounds: Bounds) -> list[Problem]:
    """Hold a run's options to the operator's bounds.

    Args:
        options: What the run is to have.
        defaults: What the operator chose, which is within the bounds by itself.
        bounds: The operator's bounds.

    Returns:
        A problem for each option over its bound, named as in `run.json`.
    """
    problems = [
        *_name("compute", options.compute, (defaults.compute, SERVERLESS), bounds.allowed_computes),
        *(
            problem
            for size in (options.compute_size, *options.other_compute_sizes)
            for problem in _name(
                "compute_size",
                size,
                (defaults.compute_size, *defaults.other_compute_sizes),
                bounds.allowed_compute_sizes,
            )
        ),
        *(
            problem
            for size in (options.instance_type, *options.other_instance_types)
            for problem in _name(
                "instance_type",
                size,
                (defaults.instance_type, *defaults.other_instance_types),
                bounds.allowed_instance_types,
            )
        ),
    ]
    most = [(bounds.max_instance_count, "MAX_INSTANCE_COUNT")]
    if bounds.max_live_endpoints:
        most.append((bounds.max_live_endpoints, "MAX_LIVE_ENDPOINTS"))
    problems += _most("instance_count", options.instance_count, *min(most))
    problems += _most(
        "lifetime_hours",
        options.lifetime_hours,
        bounds.endpoint_max_lifetime_hours,
        "ENDPOINT_MAX_LIFETIME_HOURS",
    )
    if 0 < options.idle_minutes < LEAST_IDLE_MINUTES:
        message = f"is {options.idle_minutes:g}; it is 0 for never, or at least {LEAST_IDLE_MINUTES}"
        problems.append(Problem("idle_minutes", message))
    if (fault := fault_of_hours(options.available)) is not None:
        problems.append(Problem("available", fault))
    return problems or check_run_cost(options, bounds)


def check_parameters(chosen: Mapping[str, ParameterValue], bounds: Bounds) -> list[Problem]:
    """Hold the parameters of a `run.json` to the closed list and its ranges.

    Args:
        chosen: Those that `run.json` sets, the operator's own not among them.
        bounds: The operator's bounds.
    """
    problems: list[Problem] = []
    for name, value in chosen.items():
        if name in PARAMETERS:
            fault = fault_of_parameter(name, value, bounds.of_parameters)
        elif name in bounds.allowed_parameters:
            fault = None
        else:
            hint = nearest(name, PARAMETERS) if len(problems) < MOST_HINTS else ""
            fault = f"cannot be set here{hint}; an operator may allow it: setting ALLOWED_PARAMETERS"
        if fault is not None:
            problems.append(Problem(f"parameters.{name}", fault))
    return problems


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, as the end of a sentence, or nothing."""
    close = get_close_matches(name[:64], list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def endpoint_cost(options: RunOptions, prices: Mapping[str, float]) -> float:
    """What an endpoint costs if it uses all the time it has; sizes without a price count 0."""
    sizes = (options.instance_type, *options.other_instance_types)
    dearest = max(prices.get(size.lower(), 0.0) for size in sizes)
    return dearest * options.lifetime_hours * options.instance_count


def _name(key: str, value: str, own: tuple[str, ...], allowed: tuple[str, ...]) -> list[Problem]:
    names = (*own, *allowed)
    if any(fnmatchcase(value.lower(), name.lower()) for name in names):
        return []
    listed = ", ".join(dict.fromkeys(names))
    setting = {
        "compute": "ALLOWED_COMPUTES",
        "compute_size": "ALLOWED_COMPUTE_SIZES",
        "instance_type": "ALLOWED_INSTANCE_TYPES",
    }[key]
    message = f"is {shown(value)}; it must be one of: {listed}; an operator may add more: setting {setting}"
    return [Problem(key, message)]


def _most(key: str, value: float, most: float, setting: str) -> list[Problem]:
    if value <= most:
        return []
    message = f"is {value:g}; the most is {most:g}; an operator may change it: setting {setting}"
    return [Problem(key, message)]


def check_run_cost(options: RunOptions, bounds: Bounds) -> list[Problem]:
    """Hold what a run's endpoint costs to MAX_RUN_COST; of its training, the quote and the clock decide."""
    if bounds.max_run_cost is None:
        return []
    cost = endpoint_cost(options, bounds.prices)
    if cost <= bounds.max_run_cost:
        return []
    message = (
        f"would cost {cost:.2f} for its endpoint alone; the most is {bounds.max_run_cost:g}; "
        "an operator may change it: setting MAX_RUN_COST"
    )
    return [Problem("the run", message)]
