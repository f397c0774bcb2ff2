"""The closed list of training parameters that a `run.json` may set, and within which range.

The component has 59 inputs. Those that are not here name code, files, containers or other models
(`trust_remote_code`, `huggingface_id`, `shm_size_finetune`, `deepspeed`, …): an uploader may set one only
where the operator's setting ALLOWED_PARAMETERS names it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from shared.domain.run.options import ParameterValue

LARGEST = 2**53
"""Whole numbers beyond this are not the same in every program that reads JSON (RFC 8259, section 6)."""

LONGEST_TEXT = 256
"""Characters of a parameter's value: the component's own values are words and numbers."""

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}|[0-9]{1,2}")


class Number(NamedTuple):
    """A parameter that is a number.

    Attributes:
        least: Its smallest value.
        most: Its largest value, or the operator's setting that holds it.
        why: Why an uploader may choose it.
    """

    least: float
    most: float | str
    why: str


class Choice(NamedTuple):
    """A parameter that is one of the component's own words, which preflight checks it against."""

    why: str


_COSTS = "sets how long training takes, up to TRAINING_DEADLINE_HOURS"
_RECIPE = "shapes the optimizer; costs nothing"
_MEMORY = "uses memory of a node that is paid for anyway; too much fails the job"
_LOOKS = "says how often training evaluates, logs or saves"

PARAMETERS: Mapping[str, Number | Choice] = {
    "num_nodes_finetune": Number(1, "COMPUTE_MAX_NODES", "multiplies the price"),
    "num_train_epochs": Number(1, "MAX_EPOCHS", _COSTS),
    "max_steps": Number(-1, "MAX_STEPS", _COSTS),
    "per_device_train_batch_size": Number(1, "MAX_BATCH_SIZE", _MEMORY),
    "per_device_eval_batch_size": Number(1, "MAX_BATCH_SIZE", _MEMORY),
    "gradient_accumulation_steps": Number(1, "MAX_BATCH_SIZE", _MEMORY),
    "eval_accumulation_steps": Number(-1, 10_000, _MEMORY),
    "batch_size": Number(1, 10_000, _MEMORY),
    "max_seq_length": Number(-1, 131_072, _MEMORY),
    "dataloader_num_workers": Number(0, 16, _MEMORY),
    "learning_rate": Number(0, 1, _RECIPE),
    "warmup_steps": Number(0, "MAX_STEPS", _RECIPE),
    "weight_decay": Number(0, 1, _RECIPE),
    "adam_beta1": Number(0, 1, _RECIPE),
    "adam_beta2": Number(0, 1, _RECIPE),
    "adam_epsilon": Number(0, 1, _RECIPE),
    "max_grad_norm": Number(0, 1_000, _RECIPE),
    "lora_alpha": Number(1, 4_096, _RECIPE),
    "lora_r": Number(1, 1_024, _MEMORY),
    "lora_dropout": Number(0, 1, _RECIPE),
    "seed": Number(0, 2**32 - 1, _RECIPE),
    "early_stopping_patience": Number(1, 1_000, _RECIPE),
    "early_stopping_threshold": Number(0, 1_000, _RECIPE),
    "evaluation_steps_interval": Number(0, 1, _LOOKS),
    "eval_steps": Number(1, 1_000_000, _LOOKS),
    "logging_steps": Number(1, 1_000_000, _LOOKS),
    "save_total_limit": Number(-1, 100, _LOOKS),
    "apply_lora": Choice(_RECIPE),
    "merge_lora_weights": Choice(_RECIPE),
    "apply_early_stopping": Choice(_RECIPE),
    "lr_scheduler_type": Choice(_RECIPE),
    "optim": Choice(_RECIPE),
    "metric_for_best_model": Choice(_RECIPE),
    "enable_full_determinism": Choice(_RECIPE),
    "apply_deepspeed": Choice(_MEMORY),
    "deepspeed_stage": Choice(_MEMORY),
    "apply_ort": Choice(_MEMORY),
    "precision": Choice(_MEMORY),
    "auto_find_batch_size": Choice(_MEMORY),
    "pad_to_max_length": Choice(_MEMORY),
    "evaluation_strategy": Choice(_LOOKS),
    "logging_strategy": Choice(_LOOKS),
}


def fault_of_value(value: ParameterValue) -> str | None:
    """What is wrong with a value whatever parameter it is for, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            return f"has {len(value)} characters; at most {LONGEST_TEXT} are taken"
        return None if value.isprintable() else "must be printable text"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    return None if abs(value) <= LARGEST else "is beyond 2^53, where JSON numbers are no longer exact"


def fault_of_parameter(name: str, value: ParameterValue, settings: Mapping[str, float]) -> str | None:
    """What is wrong with a value for a parameter of the closed list, or None.

    Args:
        name: One of `PARAMETERS`.
        value: What `run.json` has for it.
        settings: The operator's bounds by the name of their setting.
    """
    rule = PARAMETERS[name]
    if isinstance(rule, Choice):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return None if _WORD.fullmatch(text) else "must be one word of lower-case letters, or a short number"
    number = _number(value)
    if number is None:
        return f"must be a number, not {shown(value)}"
    if number < rule.least:
        return f"is {shown(value)}; the least is {rule.least:g}"
    most = settings[rule.most] if isinstance(rule.most, str) else rule.most
    if number <= most:
        return None
    remedy = f"; an operator may change it: setting {rule.most}" if isinstance(rule.most, str) else ""
    return f"is {shown(value)}; the most is {most:g}{remedy}"


def shown(value: object) -> str:
    """A value as an error may quote it: short, whatever it is."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= 60 else f"{text[:60]}…") if isinstance(value, str) else text[:60]


def _number(value: ParameterValue) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
