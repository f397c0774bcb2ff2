"""Base models: what registries publish, what jobs accept, and fine-tune configurations."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from azureml_emulator.training.finetune_config import base_image, extra_requirements, for_chat, merged
from emulator_rest import Rest

REGISTRY = "//mferp/managementfrontend/subscriptions/s/resourceGroups/g/providers"
GPT_OSS = "azureml://registries/azureml-openai-oss/models/gpt-oss-20b/versions/6"
IMAGE = "mcr.microsoft.com/azureml/curated/foundation-model-inference"


def registry_model(rest: Rest, name: str, version: str, registry: str = "azureml") -> dict[str, Any]:
    """A model version as a registry shows it."""
    path = (
        f"{REGISTRY}/Microsoft.MachineLearningServices/registries/{registry}/models/{name}/versions/{version}"
    )
    answer = rest("GET", path)
    assert answer.status_code == 200, answer.text
    properties: dict[str, Any] = answer.json()["properties"]
    return properties


def failure(rest: Rest, name: str) -> str:
    """The message of the node of a job that failed."""
    runs = rest("GET", f"//history/v1.0{rest.settings.workspace_arm_id}/runs/{name}/children").json()["value"]
    return next(str(run["error"]["error"]["message"]) for run in runs if run["error"])


def submit(rest: Rest, name: str, **inputs: str) -> str:
    """Submits a job with another base model; returns its status."""
    body = rest.job_body({"train_file_path": rest.upload("t.jsonl", b"{}"), **inputs})
    given = body["properties"]["jobs"]["x"]["inputs"]
    if "mlflow_model_path" not in inputs:
        del given["mlflow_model_path"]
    if "pytorch_model_path" in inputs:
        given["pytorch_model_path"] = {"uri": inputs["pytorch_model_path"], "job_input_type": "custom_model"}
    answer = rest("PUT", f"/jobs/{name}", body, headers={"x-azureml-token": rest.ml_token})
    if answer.status_code != 201:
        return str(answer.status_code)
    return str(rest("GET", f"/jobs/{name}").json()["properties"]["status"])


def test_allow_lists_have_either_naming(rest: Rest) -> None:
    """In tags in May, as Python or JSON; in system metadata in July, nested or flat."""
    tags = registry_model(rest, "Phi-4", "8")["tags"]
    sizes = ast.literal_eval(tags["finetune_compute_allow_list"])
    assert "Standard_NC40ads_H100_v5" in sizes
    assert ast.literal_eval(tags["model_specific_defaults"])["deepspeed_stage"] == 3
    rest.emulator.set_switches(tag_lists="json")
    assert json.loads(registry_model(rest, "Phi-4", "8")["tags"]["finetune_compute_allow_list"]) == sizes
    rest.emulator.set_catalogue("2026-07")
    metadata = registry_model(rest, "Phi-4", "8")["system_metadata"]
    assert metadata["supportedComputes"]["finetuneComputes"] == sizes
    rest.emulator.set_switches(allow_lists="flat")
    metadata = registry_model(rest, "Phi-4", "8")["system_metadata"]
    assert metadata["finetune_compute_allow_list"] == sizes
    assert "supportedComputes" not in metadata
    assert registry_model(rest, "Phi-3-mini-4k-instruct", "15")["isArchived"] is True


def test_another_registry_publishes_a_custom_model(rest: Rest) -> None:
    """Under its own registry only."""
    assert registry_model(rest, "gpt-oss-20b", "6", "azureml-openai-oss")["modelType"] == "custom_model"
    path = f"{REGISTRY}/Microsoft.MachineLearningServices/registries/azureml/models/gpt-oss-20b/versions/6"
    assert rest("GET", path).status_code == 404
    found = rest("GET", "//registrymanagement/v1.0/registries/azureml-openai-oss/discovery", version=None)
    assert found.json()["registryName"] == "azureml-openai-oss"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"pytorch_model_path": GPT_OSS}, "Found no examples"),  # past the import of the model
        ({"huggingface_id": "Qwen/Qwen2.5-0.5B-Instruct"}, "Found no examples"),
        ({"huggingface_id": "no id"}, "not of the form owner/name"),
        (
            {"pytorch_model_path": "azureml://registries/azureml/models/Phi-4/versions/8"},
            "is an MLflow model",
        ),
        ({"mlflow_model_path": GPT_OSS}, "is not an MLflow model"),
        ({}, "must be given"),
    ],
)
def test_base_models_by_either_input(rest: Rest, inputs: dict[str, str], message: str) -> None:
    """A custom model, a name on the hub, or an MLflow model, each by its own input."""
    assert submit(rest, "job", **inputs) == "Failed"
    told = failure(rest, "job")
    assert message in told or (message == "Found no examples" and "messages" in told)


def test_a_model_that_no_registry_has_is_refused(rest: Rest) -> None:
    """At submission, on either input."""
    absent = "azureml://registries/azureml-openai-oss/models/gpt-oss-120b/versions/1"
    assert submit(rest, "one", pytorch_model_path=absent) == "400"
    assert submit(rest, "two", mlflow_model_path=absent) == "400"


def test_a_job_may_not_reach_the_hub(rest: Rest) -> None:
    """Whether it does is not known."""
    rest.emulator.set_switches(hub_egress=False)
    assert submit(rest, "job", huggingface_id="Qwen/Qwen2.5-0.5B-Instruct") == "Failed"
    assert "huggingface.co" in failure(rest, "job")


def test_a_component_without_finetune_config(rest: Rest) -> None:
    """Before 0.0.82 the input is not there, and the id has another version."""
    rest.emulator.set_switches(component_version="0.0.81")
    body = rest.job_body({"finetune_config_path": rest.upload("c.json", b"{}")})
    answer = rest("PUT", "/jobs/a", body, headers={"x-azureml-token": rest.ml_token})
    assert answer.status_code == 400
    node = body["properties"]["jobs"]["x"]
    node["componentId"] = node["componentId"].replace("0.0.82", "0.0.81")
    answer = rest("PUT", "/jobs/a", body, headers={"x-azureml-token": rest.ml_token})
    assert "Input 'finetune_config_path' is not defined" in answer.text


def test_a_configuration_that_is_no_json_object_fails_the_job(rest: Rest) -> None:
    """In the node that reads it."""
    rest.train(finetune_config_path=rest.upload("c.json", b"[]"))
    assert "finetune_config_path is not a JSON object" in failure(rest, "job")


@pytest.mark.parametrize(
    ("enabled", "base", "kept"),
    [
        (None, f"{IMAGE}:68", None),
        (False, f"{IMAGE}:68", None),
        (True, f"{IMAGE}:68", f"{IMAGE}:68"),
        (True, f"{IMAGE}:60", f"{IMAGE}:61"),
        (True, f"{IMAGE}:latest", f"{IMAGE}:61"),
        (True, None, None),
    ],
)
def test_what_becomes_of_the_base_image(enabled: bool | None, base: str | None, kept: str | None) -> None:
    """Popped unless enabled; at least tag 61; never added."""
    config = {} if enabled is None else {"inferencing_config": {"enable_vllm": enabled}}
    assert base_image(config, base) == kept


def test_configurations_merge_deeply() -> None:
    """The later one wins value by value; version 2 nests by task."""
    base = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert merged(base, {"a": {"b": 3}, "d": [2]}) == {"a": {"b": 3, "c": 2}, "d": [2]}
    nested = {"task_specific_config": {"ChatCompletion": {"a": {"b": 5}}}, "a": {"c": 6}}
    assert for_chat(nested)["a"] == {"b": 5, "c": 6}
    assert extra_requirements({"mlflow_ft_conf": "no object"}) == []
