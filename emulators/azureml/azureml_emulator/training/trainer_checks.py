"""What the trainer refuses or fails on once it runs, by its parameters.

Rules and words are those of azureml-acft-contrib-hf-nlp and azureml-acft-accelerator 0.0.91, shortened; the
failures inside Hugging Face's trainer carry its own exceptions' words.
"""

from __future__ import annotations

from typing import Any

from azureml_emulator.training.trainer import Options

_OWN_LORA = frozenset(
    ("GPT2LMHeadModel", "LlamaForCausalLM", "FalconForCausalLM", "GPTNeoXForCausalLM", "RWForCausalLM")
)
"""Architectures that the trainer's own LoRA knows; others need PEFT."""


def failure_of(options: Options, architecture: str, config: dict[str, Any]) -> str | None:
    """The message with which fine-tuning ends, or None.

    Args:
        options: The component's inputs.
        architecture: Of the base model.
        config: The merged fine-tune configuration.
    """
    deepspeed = options.on("apply_deepspeed")
    stage_3 = deepspeed and options.inputs["deepspeed_stage"] == "3"
    if deepspeed and options.on("auto_find_batch_size"):
        return "Invalid settings found. Deep Speed cannot be coupled with auto_find_batch_size."
    if stage_3 and options.on("apply_ort"):
        return "Found invalid settings for deepspeed stage 3: apply_ort=True"
    own_lora = options.on("apply_lora") and not stage_3 and config.get("lora_algo") != "peft"
    if own_lora and architecture not in _OWN_LORA:
        return f"Lora is not supported for {architecture.removesuffix('ForCausalLM').lower()}."
    if options.on("apply_early_stopping") and options.inputs["evaluation_strategy"] == "disable":
        return "EarlyStoppingCallback requires IntervalStrategy of steps or epoch"
    if options.number("learning_rate") == 0:
        return "Training failed: the learning rate is 0."
    metric = options.inputs["metric_for_best_model"]
    if metric != "loss":
        argument = "The `metric_for_best_model` training argument is set to"
        return f"KeyError: {argument} 'eval_{metric}', which is not found in the evaluation metrics."
    return None
