"""Fine-tune parameters against the training component's own inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRunError
from shared.domain.training.component import (
    COMPONENT_NAME,
    NOTEBOOK_DEFAULTS,
    OWN_INPUTS,
    Component,
    parse_component,
    plan_parameters,
)
from shared.domain.training.display_name import display_name
from tests.app.catalogue import COMPONENT, MODELS, PHI_3, component_body

PIPELINE = parse_component(component_body())
MODEL_DEFAULTS: Mapping[str, Any] = MODELS[PHI_3]["2026-05"]["tags"]["model_specific_defaults"]


def plan(chosen: Mapping[str, Any], defaults: Mapping[str, Any] = MODEL_DEFAULTS) -> dict[str, Any]:
    """Plan with the public component."""
    return plan_parameters(PIPELINE, defaults, chosen)


def test_the_component_is_read_as_it_is_published() -> None:
    """Every input keeps its type, its enum and its bounds, though the wire has strings only."""
    assert COMPONENT["name"] == COMPONENT_NAME
    assert set(PIPELINE.inputs) == set(COMPONENT["inputs"])
    for name, declared in COMPONENT["inputs"].items():
        read = PIPELINE.inputs[name]
        assert read.type == declared["type"]
        assert list(read.enum or ()) == declared.get("enum", [])
        assert read.minimum == declared.get("min")


def test_inputs_of_our_own_are_inputs_of_the_component() -> None:
    """What the app sets itself, the component has."""
    assert set(PIPELINE.inputs) >= OWN_INPUTS


def test_notebook_under_model_under_user() -> None:
    """Each layer wins over the one before; the model's names that the component lacks are left out."""
    values = plan({"num_train_epochs": 7})
    assert values["num_train_epochs"] == 7
    assert values["save_total_limit"] == MODEL_DEFAULTS["save_total_limit"]
    assert values["lr_scheduler_type"] == NOTEBOOK_DEFAULTS["lr_scheduler_type"]
    assert "learning_rate_min" in MODEL_DEFAULTS
    assert "learning_rate_min" not in values
    assert plan({}, {})["num_train_epochs"] == NOTEBOOK_DEFAULTS["num_train_epochs"]


def test_values_arrive_in_the_components_types() -> None:
    """Text from a tag becomes the number that it says; booleans become the words of the enum."""
    values = plan({"apply_lora": True, "seed": "7", "warmup_steps": 10.0, "precision": 16})
    assert values["learning_rate"] == pytest.approx(5e-6)
    assert (values["apply_lora"], values["seed"], values["warmup_steps"]) == ("true", 7, 10)
    assert values["precision"] == "16"


def test_a_large_seed_is_not_rounded() -> None:
    """A whole number past 2**53 arrives as it was written."""
    assert plan({"seed": 2**53 + 1})["seed"] == 2**53 + 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("num_train_epochs", 0, "at least 1, not 0"),
        ("num_train_epochs", 1.5, "a whole number, not '1.5'"),
        ("num_train_epochs", "three", "a whole number"),
        ("num_train_epochs", True, "a whole number"),
        ("num_train_epochs", "", "a whole number"),
        ("learning_rate", "nan", "a number"),
        ("learning_rate", "1e999", "a number"),
        ("lr_scheduler_type", "cosinus", "one of linear, cosine"),
        ("apply_lora", "yes", "one of true, false"),
        ("deepspeed_stage", 1, "one of 2, 3"),
        ("epochs", 3, "no input of chat_completion_pipeline"),
        ("train_file_path", "x", "set by the app itself"),
        ("compute_finetune", "x", "set by the app itself"),
        ("pytorch_model_path", "x", "set by the app itself"),
        ("huggingface_id", "x", "set by the app itself"),
    ],
)
def test_what_the_component_would_not_take_is_refused(name: str, value: Any, words: str) -> None:
    """Type, enum, minimum, unknown names and inputs that are not the user's."""
    with pytest.raises(InvalidRunError) as caught:
        plan({name: value})
    assert f"{name}: " in caught.value.message
    assert words in caught.value.message


def test_every_fault_is_named_at_once() -> None:
    """Nobody has to upload once per mistake."""
    with pytest.raises(InvalidRunError) as caught:
        plan({"num_train_epochs": 0, "epochs": 3, "apply_lora": "yes"})
    for name in ("num_train_epochs", "epochs", "apply_lora"):
        assert name in caught.value.message


def test_a_component_without_the_notebooks_inputs_can_be_used() -> None:
    """Defaults that nobody chose are no errors, whatever inputs a later version has."""
    smaller = Component("azureml://x", "9.9.9", {"num_train_epochs": PIPELINE.inputs["num_train_epochs"]})
    assert plan_parameters(smaller, {}, {}) == {"num_train_epochs": 3}


scalars = st.booleans() | st.integers() | st.floats() | st.text(max_size=12)


@given(st.dictionaries(st.sampled_from(sorted(PIPELINE.inputs)), scalars, max_size=5))
def test_any_choice_is_taken_or_refused(chosen: dict[str, Any]) -> None:
    """What is taken is within the component's declaration; the rest is an error that says why."""
    try:
        values = plan(chosen)
    except InvalidRunError:
        return
    for name, value in values.items():
        declared = PIPELINE.inputs[name]
        assert declared.enum is None or value in declared.enum
        if declared.type in {"integer", "number"}:
            assert isinstance(value, int | float)
            assert declared.minimum is None or value >= declared.minimum


def test_the_display_name_is_the_notebooks() -> None:
    """Model, dataset, batch size over all GPUs, schedule, DeepSpeed, LoRA, checkpoints, length."""
    values: dict[str, str | int | float] = {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 3,
        "num_nodes_finetune": 1,
        "lr_scheduler_type": "cosine",
        "apply_deepspeed": "true",
        "deepspeed_stage": "2",
        "apply_lora": "true",
        "save_total_limit": 1,
        "max_seq_length": 2048,
    }
    made = display_name("Phi-3-mini-4k-instruct", "ultrachat", values, 4)
    assert made == "Phi-3-mini-4k-instruct-ultrachat-bs24-cosine-ds2-lora-save_limit1-seqlen2048"
    bare = display_name("org/model", "My Data!", {}, 1)
    assert bare == "org-model-my-data-bs1-linear-nods-nolora-save_limit-1-seqlen-1"
