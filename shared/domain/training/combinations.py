"""Parameters that are right one by one and fail together, on GPUs that are paid for by then.

Source of each: azureml-acft-contrib-hf-nlp and azureml-acft-accelerator 0.0.91, the trainer's own packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.domain.errors import InvalidRunError
from shared.domain.fields import Problem

Values = Mapping[str, str | int | float]

_PHI3 = re.compile(r"phi-?(?:3(?:\.5)?-(?:mini|medium|vision)|4)(?!\d)", re.IGNORECASE)
"""Names of models whose `config.json` has the type `phi3`, which the trainer's own LoRA does not know."""

_OTHERS = re.compile(r"gpt-?oss|qwen|gemma|mistral|mixtral", re.IGNORECASE)
"""Names of further families that it does not know: it knows Llama, Falcon, GPT-2 and GPT-NeoX."""

PEFT_FOR_PHI3: Mapping[str, Any] = {
    "lora_algo": "peft",
    "lora_target_modules": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
}
"""The fine-tune configuration that trains a `phi3` with PEFT's LoRA instead, and the layers that it has."""


def check_combination(values: Values) -> None:
    """Refuse what the trainer is known to fail on, whatever the model.

    Raises:
        InvalidRunError: Naming every parameter and what to set instead.
    """
    if problems := list(_faults(values)):
        raise InvalidRunError("fine-tune parameters: " + "; ".join(map(str, problems)))


def _faults(values: Values) -> Iterator[Problem]:
    metric = values.get("metric_for_best_model", "loss")
    if metric != "loss":
        yield Problem(
            "metric_for_best_model", f"is {metric!r}, which no evaluation computes; it must be 'loss'"
        )
    if values.get("learning_rate") == 0:
        yield Problem("learning_rate", "is 0, with which nothing is learned; it must be above 0")
    length = values.get("max_seq_length", -1)
    if isinstance(length, int | float) and length != -1 and length < 1:
        yield Problem("max_seq_length", f"is {length}; it must be at least 1, or -1 for the model's own")
    deepspeed = _is_on(values, "apply_deepspeed")
    if deepspeed and _is_on(values, "auto_find_batch_size"):
        yield Problem(
            "auto_find_batch_size",
            "cannot be 'true' with apply_deepspeed 'true'; set one of them to 'false'",
        )
    if deepspeed and _has_stage_3(values) and _is_on(values, "apply_ort"):
        yield Problem(
            "apply_ort", "cannot be 'true' with deepspeed_stage 3; set it to 'false', or deepspeed_stage to 2"
        )
    if _is_on(values, "apply_early_stopping") and values.get("evaluation_strategy") == "disable":
        yield Problem(
            "apply_early_stopping",
            "needs evaluations: set evaluation_strategy to 'epoch' or 'steps', or apply_early_stopping to"
            " 'false'",
        )


def lora_config(name: str, values: Values, *, offered: bool, vouched: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fine-tune configuration that LoRA needs with this model; empty if it needs none.

    Args:
        name: Of the base model.
        values: The parameters.
        offered: Whether the component takes a fine-tune configuration.
        vouched: The publisher's own parameters: if they ask for the same, the model's files say how.

    Raises:
        InvalidRunError: LoRA would fail, and the component takes no configuration that helps.
    """
    if not _fails_with_lora(name, values):
        return {}
    if offered and _PHI3.search(name):
        return PEFT_FOR_PHI3
    if _fails_with_lora(name, {key: str(value) for key, value in vouched.items()}):
        return {}
    raise InvalidRunError(
        f"fine-tune parameters: apply_lora: the trainer's own LoRA does not know {name};"
        " set apply_deepspeed to 'true' and deepspeed_stage to 3, or apply_lora to 'false'"
    )


def _fails_with_lora(name: str, values: Values) -> bool:
    with_peft = _is_on(values, "apply_deepspeed") and _has_stage_3(values)
    unknown = _PHI3.search(name) or _OTHERS.search(name)
    return _is_on(values, "apply_lora") and not with_peft and unknown is not None


def _has_stage_3(values: Values) -> bool:
    return str(values.get("deepspeed_stage", "2")) == "3"


def _is_on(values: Values, name: str) -> bool:
    return str(values.get(name, "false")).lower() == "true"
