"""Base models of other registries and of the Hugging Face hub, from the setting to the job's inputs."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.flow.conftest import Flow
from tests.flow.test_serving import rows

STAGE_3 = {"apply_deepspeed": "true", "deepspeed_stage": "3", "apply_lora": "true"}
"""Without it the trainer has no LoRA for these models."""

GPT_OSS = "azureml://registries/azureml-openai-oss/models/gpt-oss-20b"


def driven(flow: Flow, base_model: str, until: Stage, **settings: Any) -> Run:
    """A run with a base model of its own."""
    other = flow.configured(base_model=base_model, **settings)
    return other.drive(other.upload(f"d{uuid.uuid4().hex[:10]}.jsonl", rows()), until)


def inputs_of(flow: Flow, run: Run) -> dict[str, Any]:
    """The job's inputs as text: of the pipeline and of its one node together."""
    (job,) = (
        one
        for one in flow.emulator.resources("jobs", containing=run.run_id)["jobs"]
        if one["name"] == run.run_id
    )
    (node,) = job["properties"]["jobs"].values()
    return dict(node["inputs"])


@pytest.mark.parametrize("version", ["", "/versions/6"])
def test_a_custom_model_of_another_registry(flow: Flow, version: str) -> None:
    """It reaches training as `pytorch_model_path`, and its window is what rows are counted with."""
    sizes = {
        "compute_size": ("Standard_NC96ads_A100_v4",),
        "deployment_instance_type": ("Standard_NC96ads_A100_v4",),
        "finetune_parameters": STAGE_3,
    }
    run = driven(flow, GPT_OSS + version, Stage.LIVE, **sizes)
    assert run.plan is not None
    given = inputs_of(flow, run)
    assert f"{GPT_OSS}/versions/6" in json.dumps(given["pytorch_model_path"])
    assert "mlflow_model_path" not in given
    assert run.plan.context_window == 131_072


def test_a_model_of_the_hub(flow: Flow) -> None:
    """Its id reaches training as it is; nothing is known of its window but the setting."""
    qwen = "hf:Qwen/Qwen2.5-0.5B-Instruct"
    run = driven(flow, qwen, Stage.LIVE, context_window=2048, finetune_parameters=STAGE_3)
    assert run.plan is not None
    given = inputs_of(flow, run)
    assert "Qwen/Qwen2.5-0.5B-Instruct" in json.dumps(given["huggingface_id"])
    assert (run.plan.context_window, run.plan.parameters["max_seq_length"]) == (2048, 2048)


def test_a_model_that_the_trainers_lora_does_not_know_is_refused(flow: Flow) -> None:
    """Before GPUs are paid for, with what to set instead."""
    run = driven(
        flow, "hf:Qwen/Qwen2.5-0.5B-Instruct", Stage.FAILED, finetune_parameters={"apply_lora": "true"}
    )
    assert run.error is not None
    assert "deepspeed_stage to 3" in run.error.message
    assert not run.billable


@pytest.mark.parametrize("versioned", [False, True])
def test_a_model_of_the_workspace(flow: Flow, versioned: bool) -> None:
    """What one run has trained, another trains further: it reaches training by its id."""
    first = driven(flow, "Phi-4", Stage.LIVE)
    assert first.model is not None
    name = first.model.name + (f":{first.model.version}" if versioned else "")
    second = driven(flow, f"azureml:{name}", Stage.LIVE)
    given = json.dumps(inputs_of(flow, second)["mlflow_model_path"])
    assert f"/models/{first.model.name}/versions/{first.model.version}" in given


def test_a_model_that_the_workspace_does_not_have_ends_the_run(flow: Flow) -> None:
    """Before anything costs money, in words that name it."""
    run = driven(flow, "azureml:nobody:3", Stage.FAILED)
    assert run.error is not None
    assert "has no version 3 of model nobody" in run.error.message
    assert not run.billable


def test_the_window_is_the_models_and_a_setting_may_lower_it(flow: Flow) -> None:
    """What validation counts with is what training is told."""
    run = driven(flow, "Phi-4", Stage.LIVE)
    assert run.plan is not None
    assert (run.plan.context_window, run.plan.parameters["max_seq_length"]) == (16_384, 16_384)
    lower = driven(flow, "Phi-4", Stage.LIVE, context_window=1024)
    assert lower.plan is not None
    assert lower.plan.parameters["max_seq_length"] == 1024
    report = flow.services.reports.load(lower.run_id, html=False)
    assert report is not None
    assert json.loads(report)["tokens"]["context_window"] == 1024


def test_a_model_that_is_nowhere_ends_the_run(flow: Flow) -> None:
    """Before anything costs money, in words that name it."""
    run = driven(flow, "azureml://registries/azureml-openai-oss/models/gpt-6", Stage.FAILED)
    assert run.error is not None
    assert "registry azureml-openai-oss has no model gpt-6" in run.error.message
    assert not run.billable


@pytest.mark.parametrize("names", ["supportedComputes", "flat"])
def test_allow_lists_are_read_under_either_name(flow: Flow, names: str) -> None:
    """Since mid-2026 they are in the registry's system metadata."""
    flow.emulator.set_catalogue("2026-07")
    flow.emulator.set_switches(allow_lists=names)
    run = driven(flow, "Phi-4", Stage.FAILED, deployment_instance_type=("Standard_NC6s_v3",))
    assert run.error is not None
    assert "Standard_NC24ads_A100_v4" in run.error.message
