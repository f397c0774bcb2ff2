"""The copy of the training component by which the program checks parameters."""

import json
from typing import Any

import pytest
from azureml_emulator import pipeline_component

from finetune.dataset.published import COPY, check_by_copy


def test_the_copy_is_the_component_as_it_was_published() -> None:
    """Names, types, enums and bounds, as another copy of the same publication has them."""
    copied, published = json.loads(COPY.read_text()), pipeline_component()
    assert (copied["name"], copied["version"]) == (published["name"], published["version"])
    assert copied["copied"] in published["source"]
    declared = {
        name: {key: port[key] for key in ("type", "enum", "min", "max") if key in port}
        for name, port in published["inputs"].items()
    }
    assert copied["inputs"] == declared


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parameters": {"num_train_epochs": 0}}, "at least 1"),
        ({"parameters": {"lr_scheduler_type": "cosinus"}}, "one of linear"),
        ({"parameters": {"epochs": 3}}, "not an input"),
        ({"parameters": {"learning_rate": 0}}, "above 0"),
        ({"parameters": {"lora_r": 5_000}}, "the most is 1024"),
        ({"parameters": {"auto_find_batch_size": True, "apply_deepspeed": True}}, "set one of them"),
        ({"base_model": "Phi4"}, "did you mean 'Phi-4'?"),
        ({"base_model": "Phi-3-mini-4k-instruct:15"}, "retired from fine-tuning on 2025-08-30"),
        ({"base_model": "azureml://registries/azureml/models/phi-4/versions/8"}, "did you mean 'Phi-4'?"),
    ],
)
def test_what_would_be_refused_is_named_with_the_copys_date(options: dict[str, Any], words: str) -> None:
    """The component's inputs, the app's own ranges, and the names of base models."""
    found = check_by_copy(options)
    assert len(found.faults) == 1
    assert words in found.faults[0]
    assert found.copy == "chat_completion_pipeline 0.0.82 as published on 2026-07-23"


@pytest.mark.parametrize(
    ("options", "unchecked"),
    [
        ({}, False),
        ({"parameters": {"num_train_epochs": 10_000}}, False),
        ({"parameters": {"auto_find_batch_size": "true"}}, False),
        ({"base_model": "Phi-4:8"}, False),
        ({"base_model": "Ministral-3B"}, True),
        ({"base_model": "hf:microsoft/phi-4"}, True),
        ({"base_model": "azureml:phi4:1"}, True),
    ],
)
def test_what_may_be_right_is_taken_and_what_is_not_known_is_said(
    options: dict[str, Any], unchecked: bool
) -> None:
    """The app's settings, other registries and models published since are not known here."""
    found = check_by_copy(options)
    assert found.faults == []
    assert ("the base model" in found.unchecked) is unchecked
    assert "the operator's bounds" in found.unchecked
