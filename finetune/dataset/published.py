"""What Azure's public registry published on a date: for checks of options on a machine without the app.

The app checks a run against what its registry has; this copy may be older or newer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from shared.domain.errors import InvalidRunError
from shared.domain.run.bounds import Bounds, check_parameters, nearest
from shared.domain.run.parameters import PARAMETERS, shown
from shared.domain.training.combinations import check_combination
from shared.domain.training.component import parse_component, plan_parameters
from shared.domain.training.model_reference import read_reference

COPY = Path(__file__).with_suffix(".json")

_ALLOW = "an operator may allow it: setting ALLOW_RETIRED_MODEL"
_UNBOUNDED = Bounds(
    allowed_computes=(),
    allowed_compute_sizes=(),
    allowed_instance_types=(),
    allowed_parameters=(),
    compute_max_nodes=2**31,
    max_instance_count=2**31,
    max_live_endpoints=0,
    max_epochs=2**31,
    max_steps=2**31,
    max_batch_size=2**31,
    endpoint_max_lifetime_hours=inf,
    max_run_cost=None,
    prices={},
)
"""Only the operator knows the bounds; each parameter has a range of its own."""


class CopyCheck(NamedTuple):
    """What the copy says of a run's options.

    Attributes:
        copy: Which copy it is, and of when.
        faults: What a run would be refused for, by the copy.
        unchecked: What only the app can say.
    """

    copy: str
    faults: list[str]
    unchecked: list[str]


def check_by_copy(options: Mapping[str, Any]) -> CopyCheck:
    """Hold a run's options against the copy.

    Args:
        options: Those that the run itself gives, each of the right form; the app's
            settings are not known here.
    """
    document = json.loads(COPY.read_text())
    copy = f"{document['name']} {document['version']} as published on {document['copied']}"
    chosen = options.get("parameters", {})
    unchecked = ["the operator's bounds", "VM sizes", "quota"]
    faults = [*_faults_of_parameters(document, chosen)]
    if "base_model" in options:
        fault, known = _fault_of_model(document["base_models"], options["base_model"])
        faults += [fault] if fault else []
        unchecked[:0] = [] if known or fault else ["the base model"]
    return CopyCheck(copy, faults, unchecked)


def _faults_of_parameters(document: Mapping[str, Any], chosen: Mapping[str, Any]) -> Iterator[str]:
    body = {"id": document["name"], "name": document["version"], "properties": {"componentSpec": document}}
    try:
        planned = plan_parameters(parse_component(body), {}, chosen)
        check_combination({name: value for name, value in planned.items() if name in chosen})
    except InvalidRunError as fault:
        yield fault.message
        return
    listed = {name: value for name, value in chosen.items() if name in PARAMETERS}
    yield from (str(problem) for problem in check_parameters(listed, _UNBOUNDED))


def _fault_of_model(models: Mapping[str, str | None], given: str) -> tuple[str | None, bool]:
    """What is wrong with a base model by its name, and whether the copy knows it."""
    model = read_reference(given)
    if model.on_hub or model.in_workspace or model.registry not in {None, "azureml"}:
        return None, False
    if model.name in models:
        retired = models[model.name]
        fault = f"base_model: {model.name} was retired from fine-tuning on {retired}; {_ALLOW}"
        return (fault if retired else None), True
    hint = nearest(model.name, models)
    return (f"base_model: there is no {shown(model.name)}{hint}" if hint else None), False
