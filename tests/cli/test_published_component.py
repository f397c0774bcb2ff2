"""The copy of the training component by which the program checks parameters."""

import json
from typing import Any

import pytest
from azureml_emulator import pipeline_component

from finetune.dataset.published_component import COPY, faults_of_parameters


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
    ("chosen", "words"),
    [
        ({"num_train_epochs": 0}, "at least 1"),
        ({"lr_scheduler_type": "cosinus"}, "one of linear"),
        ({"epochs": 3}, "not an input"),
        ({"learning_rate": 0}, "above 0"),
        ({"auto_find_batch_size": True, "apply_deepspeed": True}, "set one of them"),
    ],
)
def test_what_the_component_would_refuse_is_named_with_the_copys_date(
    chosen: dict[str, Any], words: str
) -> None:
    """And who has the last word."""
    fault = faults_of_parameters(chosen)
    assert fault is not None
    assert words in fault
    assert "0.0.82 as published on 2026-07-23; the app checks" in fault


@pytest.mark.parametrize("chosen", [{}, {"num_train_epochs": 2}, {"auto_find_batch_size": "true"}])
def test_what_may_be_right_with_the_apps_settings_is_taken(chosen: dict[str, Any]) -> None:
    """Defaults of the app and of the base model are not known here."""
    assert faults_of_parameters(chosen) is None
