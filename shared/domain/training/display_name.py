"""The pipeline's display name: the run's main parameters at a glance, in the notebook's form."""

from __future__ import annotations

from collections.abc import Mapping

from shared.domain.run.names import slug


def display_name(
    base_model: str,
    dataset: str,
    parameters: Mapping[str, str | int | float],
    gpus_per_node: int,
) -> str:
    """Name a training job, e.g. `Phi-3-mini-4k-instruct-support-bs1-cosine-ds2-lora-save_limit1-seqlen-1`.

    The parts and their order are the Azure ML chat-completion notebook's.

    Args:
        base_model: Name of the base model.
        dataset: Name of the dataset.
        parameters: The component's parameters; what is missing counts as the component's default.
        gpus_per_node: GPUs of one node.
    """
    batch_size = (
        int(parameters.get("per_device_train_batch_size", 1))
        * int(parameters.get("gradient_accumulation_steps", 1))
        * gpus_per_node
        * int(parameters.get("num_nodes_finetune", 1))
    )
    deepspeed = str(parameters.get("apply_deepspeed", "false")) == "true"
    lora = str(parameters.get("apply_lora", "false")) == "true"
    parts = (
        base_model.replace("/", "-"),
        slug(dataset, 40),
        f"bs{batch_size}",
        str(parameters.get("lr_scheduler_type", "linear")),
        f"ds{parameters.get('deepspeed_stage', '2')}" if deepspeed else "nods",
        "lora" if lora else "nolora",
        f"save_limit{parameters.get('save_total_limit', -1)}",
        f"seqlen{parameters.get('max_seq_length', -1)}",
    )
    return "-".join(parts)
