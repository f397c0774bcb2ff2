"""MLflow models without an environment, as today's inference image starts and serves them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azureml_emulator.serving.container import ContainerCrashedError
from azureml_emulator.serving.mlflow_server import check_requirements, dialog, system_marks
from emulator_rest import Rest, chat, conversation

QUESTION, ANSWER = (message["content"] for message in conversation(3)["messages"])


@pytest.fixture(autouse=True)
def current(rest: Rest) -> None:
    """The score script of today."""
    rest.emulator.set_switches(score_script="current")


def config(rest: Rest, document: Any) -> str:
    """The address of a fine-tune configuration."""
    return rest.upload("finetune_config.json", json.dumps(document).encode())


def with_requirements(*requirements: str) -> dict[str, Any]:
    """A fine-tune configuration that adds requirements to the model's environment."""
    return {"mlflow_ft_conf": {"mlflow_save_model_kwargs": {"extra_pip_requirements": list(requirements)}}}


def deploy(rest: Rest, document: Any = None, **extra: Any) -> dict[str, Any]:
    """Trains and deploys; returns the operation's document."""
    inputs = {} if document is None else {"finetune_config_path": config(rest, document)}
    output = extra.pop("output", "trained_model")
    rest.train(output=output, **inputs)
    model = rest.model(output=output)
    rest.endpoint()
    answer = rest.deploy(model, **extra)
    assert answer.status_code == 201, answer.text
    operation: dict[str, Any] = rest("GET", answer.headers["Azure-AsyncOperation"]).json()
    return operation


def serve(rest: Rest) -> str:
    """The key of an endpoint whose model has what the score script needs."""
    document = with_requirements("azureml-ai-monitoring", "azureml-inference-server-http")
    assert deploy(rest, document)["status"] == "Succeeded"
    rest.endpoint(traffic={"main": 100})
    return str(rest("POST", "/onlineEndpoints/chat/listKeys").json()["primaryKey"])


def rows(*dialogs: list[dict[str, str]], **parameters: Any) -> dict[str, Any]:
    """The payload for a list of conversations."""
    return {"input_data": {"input_string": list(dialogs), "parameters": parameters}}


def turns(*roles: str) -> list[dict[str, str]]:
    """A conversation of these roles."""
    return [{"role": role, "content": QUESTION} for role in roles]


def test_without_the_monitoring_package_the_container_crashes(rest: Rest) -> None:
    """As since December 2025: the probe sees 502, and the log says what cannot be imported."""
    document = deploy(rest)
    assert document["status"] == "Failed"
    assert document["error"]["code"] == "BadArgument"
    assert document["error"]["message"].endswith("HTTP probe failed with statuscode: 502.")
    logs = rest("POST", "/onlineEndpoints/chat/deployments/main/getLogs", {}).json()["content"]
    assert "ModuleNotFoundError: No module named 'azureml.ai'" in logs


@pytest.mark.parametrize(
    ("requirements", "missing"),
    [
        (["torch"], "azureml.ai"),
        (["azureml-ai-monitoring"], None),
        (["azureml.ai_monitoring>=1", "-r other.txt"], None),
        (["azureml-ai-monitoring", "azureml-inference-server-http~=1.3.0"], "azureml.contrib"),
        (["azureml-ai-monitoring", "azureml-inference-server-http<1.4", "azureml-contrib-services"], None),
        (["azureml-ai-monitoring", "azureml-inference-server-http>=1.4"], None),
    ],
)
def test_what_the_score_script_imports(requirements: list[str], missing: str | None) -> None:
    """The monitoring package always, the contrib services for servers of version 1.3."""
    if missing is None:
        check_requirements(requirements, vendored_collector=False)
    else:
        with pytest.raises(ContainerCrashedError, match=missing):
            check_requirements(requirements, vendored_collector=False)


def test_an_older_image_has_the_package_in_itself(rest: Rest) -> None:
    """An environment with an MLflow image of before December 2025 starts any model."""
    for tag, status in ((25, "Succeeded"), (26, "Failed")):
        rest.emulator.reset()
        rest.emulator.set_switches(score_script="current")
        image = f"mcr.microsoft.com/azureml/curated/mlflow-py312-inference:{tag}"
        environment = rest("PUT", "/environments/mlflow/versions/1", {"properties": {"image": image}})
        assert deploy(rest, environmentId=environment.json()["id"])["status"] == status


def test_the_answers_form(rest: Rest) -> None:
    """A list of conversations gets a row each under "0"; one conversation alone, a list with its text."""
    key = serve(rest)
    assert rest.score(key, rows(turns("user"))).json() == [{"0": ANSWER}]
    assert len(rest.score(key, rows(turns("user"), turns("user"))).json()) == 2
    single = rest.score(key, {"input_data": {"input_string": turns("user", "assistant", "user")}}).json()
    assert [type(one) for one in single] == [str]
    assert rest.score(key, rows(turns("system", "user"), do_sample=True, max_gen_len=3)).status_code == 200


def test_a_system_text_has_llama_2s_marks_unless_the_caller_says() -> None:
    """Whatever the model."""
    told = [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi"}]
    config = {"dev_args": {"preprocessing_config": {"B_SYS": "", "E_SYS": ""}}}
    assert dialog(told, system_marks({}))[0]["content"] == "<<SYS>>\nBe brief.\n<</SYS>>\n\n"
    assert dialog(told, system_marks(config)) == [{"role": "system", "content": "Be brief."}, told[1]]


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({}, "400"),
        ({"input_data": {}}, "400"),
        (rows(turns("user"), stop="x"), "500"),
        (rows(turns("user"), return_full_text=False), "500"),
        (rows(turns("user"), temperature=0, do_sample=True), "500"),
        (rows(turns("user"), max_new_tokens=0), "500"),
        (rows(turns("user", "assistant")), "500"),
        (rows(turns("user", "user")), "500"),
        (rows(turns("assistant", "user")), "500"),
        (rows(turns("system")), "500"),
        (rows([{"role": "user"}]), "500"),
    ],
)
def test_what_the_score_script_refuses(rest: Rest, payload: dict[str, Any], status: str) -> None:
    """The container's status, as 424."""
    answer = rest.score(serve(rest), payload)
    assert (answer.status_code, answer.headers["ms-azureml-model-error-statuscode"]) == (424, status)
    assert answer.headers["x-ms-run-function-failed"] == "True"


def test_other_forms_and_paths_are_refused(rest: Rest) -> None:
    """415 for a body that does not say that it is JSON; 404 for OpenAI's path."""
    key = serve(rest)
    authorized = {"Authorization": f"Bearer {key}"}
    plain = rest.http.post("/_scoring/chat/score", content=b"{}", headers=authorized)
    assert plain.headers["ms-azureml-model-error-statuscode"] == "415"
    other = rest.score(key, chat("hello"), path="v1/chat/completions")
    assert other.headers["ms-azureml-model-error-statuscode"] == "404"


def test_a_configuration_that_enables_vllm_keeps_the_base_image(rest: Rest) -> None:
    """Phi-3's tag 63 serves without an environment, by the output's name and as its tag can."""
    nested = {"task_specific_config": {"ChatCompletion": {"inferencing_config": {"enable_vllm": True}}}}
    assert deploy(rest, nested, output="mlflow_model_folder")["status"] == "Succeeded"
    rest.endpoint(traffic={"main": 100})
    key = str(rest("POST", "/onlineEndpoints/chat/listKeys").json()["primaryKey"])
    assert rest.score(key, chat(QUESTION)).json() == {"output": ANSWER}
    other = rest.score(key, chat("hello"), path="v1/chat/completions")
    assert other.headers["ms-azureml-model-error-statuscode"] == "404"


@pytest.mark.parametrize("base_image", [None, 68])
def test_enabled_vllm_needs_an_image_in_the_base_models_metadata(rest: Rest, base_image: int | None) -> None:
    """Whether Phi-4 names one is not known: without it the model is served as before."""
    rest.emulator.set_switches(phi4_base_image=base_image)
    inputs = {
        "mlflow_model_path": "azureml://registries/azureml/models/Phi-4/versions/8",
        "finetune_config_path": config(rest, {"inferencing_config": {"enable_vllm": True}}),
    }
    rest.train(output="mlflow_model_folder", **inputs)
    model = rest.model(output="mlflow_model_folder")
    rest.endpoint()
    answer = rest.deploy(model)
    document = rest("GET", answer.headers["Azure-AsyncOperation"]).json()
    assert document["status"] == ("Failed" if base_image is None else "Succeeded")
