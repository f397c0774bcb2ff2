"""What a pipeline asks the fine-tuning component for, checked as the service checks it.

azure-ai-ml refuses unknown names itself, but neither types nor enums nor minimums: only the service does.
"""

from __future__ import annotations

import math
import re
from typing import Any

from azureml_emulator.core.asset_families import MODEL, by_id
from azureml_emulator.core.catalogue import model_ids, offered_component, pipeline_component
from azureml_emulator.core.state import EmulatorState

# The service's numbers are .NET's: no underscores, infinities or not-a-number, which Python would take.
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BINDING = re.compile(r"\$\{\{parent\.inputs\.(\w+)\}\}")
SERVERLESS = "serverless"


def given_inputs(job: dict[str, Any], node: dict[str, Any]) -> dict[str, str]:
    """The node's inputs by name, text or address, with bindings to the job's own inputs followed."""
    values: dict[str, str] = {}
    for name, given in (node.get("inputs") or {}).items():
        value = _value(given)
        bound = _BINDING.fullmatch(value or "")
        if bound:
            value = _value((job.get("inputs") or {}).get(bound[1]))
        if value is not None:
            values[name] = value
    return values


def _value(given: object) -> str | None:
    if not isinstance(given, dict):
        return None if given is None else str(given)
    value = given.get("uri", given.get("value"))
    return None if value is None else str(value)


def with_defaults(given: dict[str, str]) -> dict[str, str]:
    """The inputs with the component's defaults for those that were not given."""
    defaults = {
        name: str(port["default"])
        for name, port in pipeline_component()["inputs"].items()
        if port.get("default") is not None
    }
    return {**defaults, **given}


def check_inputs(state: EmulatorState, given: dict[str, str]) -> None:
    """Refuses what the component does not take. It has no required input: all 69 are optional.

    Raises:
        ServiceError: 400 naming the input.
    """
    component = offered_component(state)
    ports = component["inputs"]
    for name, value in given.items():
        port = ports.get(name)
        if port is None:
            raise _refusal(state, f"Input '{name}' is not defined in component {component['name']}.")
        complaint = _complaint(port, value)
        if complaint:
            raise _refusal(state, f"Value '{value}' of input '{name}' {complaint}.")
    _check_compute(state, given)
    for name in ("mlflow_model_path", "pytorch_model_path"):
        base = given.get(name, "")
        published = base in model_ids() or by_id(state, MODEL, base) is not None
        if base.startswith("azureml://registries/") and not published:
            raise _refusal(state, f"Model {base} was not found in its registry.")


def _complaint(port: dict[str, Any], value: str) -> str | None:
    kind = port["type"]
    if kind in ("integer", "number"):
        form = _INTEGER if kind == "integer" else _NUMBER
        if form.fullmatch(value) is None or not math.isfinite(float(value)):
            return f"is not of type {kind}"
        if "min" in port and float(value) < port["min"]:
            return f"is less than the minimum {port['min']}"
    if "enum" in port and value not in port["enum"]:
        return f"is not one of {port['enum']}"
    return None


def _check_compute(state: EmulatorState, given: dict[str, str]) -> None:
    """Clusters must be there."""
    for name, value in given.items():
        if not name.startswith("compute_") or value == SERVERLESS:
            continue
        compute = value.rpartition("/computes/")[2]
        if state.computes.get(compute.lower()) is None:
            raise _refusal(state, f"Compute '{compute}' of input '{name}' was not found in the workspace.")


def _refusal(state: EmulatorState, message: str) -> Exception:
    return state.error(400, message, code="UserError", inner=("BadArgument", "ArgumentInvalid"))
