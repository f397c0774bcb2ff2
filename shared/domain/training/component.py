"""The training component's inputs, and every parameter checked against them before anything costs money.

Neither azure-ai-ml nor the job's PUT can be relied on for this: the SDK refuses unknown names but takes
any value, and a wrong value only surfaces on paid compute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.domain.errors import InvalidRunError
from shared.domain.fields import Problem
from shared.domain.run.options import ParameterValue
from shared.domain.training.model_reference import ModelInput

COMPONENT_NAME = "chat_completion_pipeline"

NOTEBOOK_DEFAULTS: Mapping[str, ParameterValue] = {
    "num_train_epochs": 3,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "learning_rate": 5e-6,
    "lr_scheduler_type": "cosine",
    "apply_lora": "true",
    "apply_deepspeed": "true",
    "deepspeed_stage": 2,
}
"""Parameters that hold when neither the model nor anybody says otherwise
(source: the Azure ML chat-completion notebook)."""

FINETUNE_CONFIG = "finetune_config_path"
"""The input that takes a fine-tune configuration; components have it from 0.0.82 on."""

OWN_INPUTS = frozenset(
    {
        FINETUNE_CONFIG,
        *ModelInput,
        "train_file_path",
        "validation_file_path",
        "test_file_path",
        "train_mltable_path",
        "validation_mltable_path",
        "test_mltable_path",
        "number_of_gpu_to_use_finetuning",
        "compute_model_import",
        "compute_preprocess",
        "compute_finetune",
        "compute_model_evaluation",
        "instance_type_model_import",
        "instance_type_preprocess",
        "instance_type_finetune",
        "instance_type_model_evaluation",
        "task_name",
    },
)
"""Inputs that this app sets itself; as parameters they are refused."""

_SCALARS = frozenset({"string", "integer", "number", "boolean"})


class ComponentInput(NamedTuple):
    """One input of a component: its type and the bounds of its values."""

    type: str
    enum: tuple[str, ...] | None
    minimum: float | None
    maximum: float | None


class Component(NamedTuple):
    """A component version of a registry and its inputs by name."""

    id: str
    version: str
    inputs: Mapping[str, ComponentInput]


def parse_component(body: Mapping[str, Any]) -> Component:
    """Read a component version as the registry's data plane returns it.

    Args:
        body: The JSON body: `id` and `properties.componentSpec`, whose scalars are strings (`"True"`, `"1"`).
    """
    spec: Mapping[str, Any] = body["properties"]["componentSpec"]
    return Component(
        id=str(body["id"]),
        version=str(spec.get("version") or body["name"]),
        inputs={name: _parse_input(declared) for name, declared in (spec.get("inputs") or {}).items()},
    )


MAX_SEQ_LENGTH = "max_seq_length"
USUAL_WINDOW = 4096
"""Tokens of a row that are counted on where neither model nor setting says how many it takes."""


def context_window(
    model_window: int | None,
    setting: int | None,
    model_defaults: Mapping[str, Any],
    chosen: Mapping[str, ParameterValue],
) -> int:
    """How many tokens of a row training keeps, which `max_seq_length` is submitted as.

    Args:
        model_window: The base model's own, if the registry says it.
        setting: The operator's limit.
        model_defaults: The publisher's parameters.
        chosen: The user's parameters, which win over the publisher's.

    Returns:
        The least of them.
    """
    asked = str({**model_defaults, **chosen}.get(MAX_SEQ_LENGTH, ""))
    shorter = int(asked) if asked.isascii() and asked.isdigit() else None
    return min(filter(None, (model_window, setting, shorter)), default=USUAL_WINDOW)


def check_model_input(component: Component, given: ModelInput) -> None:
    """Refuse a base model that the component cannot be handed.

    Raises:
        InvalidRunError: Naming the input that it lacks.
    """
    if given not in component.inputs:
        raise InvalidRunError(
            f"component {COMPONENT_NAME} {component.version} has no input {given}, by which this base model "
            "is handed over: choose another BASE_MODEL, or a COMPONENT_REGISTRY with a newer component",
            code="ModelInputNotOffered",
        )


def plan_parameters(
    component: Component,
    model_defaults: Mapping[str, Any],
    chosen: Mapping[str, ParameterValue],
) -> dict[str, str | int | float]:
    """Settle the component's parameters: the notebook's, under the model's own, under the user's.

    Defaults that the component does not have are left out (today's models carry `learning_rate_min` and
    `learning_rate_max`, which it rejects); the user's unknown names are errors.

    Raises:
        InvalidRunError: Naming every parameter that the component would not take, and what it would.
    """
    known = {
        name: value
        for name, value in {**NOTEBOOK_DEFAULTS, **model_defaults}.items()
        if name in component.inputs and name not in OWN_INPUTS
    }
    merged: dict[str, Any] = {**known, **chosen}
    values: dict[str, str | int | float] = {}
    problems: list[Problem] = []
    for name, value in merged.items():
        declared = component.inputs.get(name)
        if name in OWN_INPUTS:
            problems.append(Problem(name, "is set by the app itself; remove it"))
        elif declared is None:
            problems.append(Problem(name, f"is not an input of {COMPONENT_NAME} {component.version}"))
        elif declared.type not in _SCALARS:
            problems.append(
                Problem(name, f"takes a {declared.type}, which run.json and settings cannot provide")
            )
        else:
            checked = _check_value(declared, value)
            if isinstance(checked, Problem):
                problems.append(Problem(name, checked.message))
            else:
                values[name] = checked
    if problems:
        raise InvalidRunError("fine-tune parameters: " + "; ".join(map(str, problems)))
    return values


def _parse_input(declared: Mapping[str, Any]) -> ComponentInput:
    enum = declared.get("enum")
    return ComponentInput(
        type=str(declared.get("type", "string")).lower(),
        enum=tuple(str(value) for value in enum) if enum else None,
        minimum=_bound(declared.get("min")),
        maximum=_bound(declared.get("max")),
    )


def _bound(value: Any) -> float | None:
    return None if value is None else float(value)


def _check_value(declared: ComponentInput, value: Any) -> str | int | float | Problem:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if declared.enum is not None and text not in declared.enum:
        return Problem("", f"must be one of {', '.join(declared.enum)}, not {text!r}")
    if declared.type in {"string", "boolean"}:
        return text
    try:
        number = _number(text, whole=declared.type == "integer")
    except ValueError:
        return Problem("", f"must be {'a whole' if declared.type == 'integer' else 'a'} number, not {text!r}")
    if declared.minimum is not None and number < declared.minimum:
        return Problem("", f"must be at least {declared.minimum:g}, not {text}")
    if declared.maximum is not None and number > declared.maximum:
        return Problem("", f"must be at most {declared.maximum:g}, not {text}")
    return number


def _number(text: str, *, whole: bool) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    if not whole:
        return number
    if number != int(number):
        raise ValueError(text)
    # A float would round what is beyond 2**53, a seed for instance.
    return int(text) if text.lstrip("+-").isdecimal() else int(number)
