"""Models served by the image foundation-model-inference: its routes, forms, limits and faults."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest
from azureml_emulator import INSTANT
from emulator_rest import GPU_SIZE, Rest, chat, conversation

FOLDER = "mlflow_model_folder"
IMAGE = "mcr.microsoft.com/azureml/curated/foundation-model-inference"
V1 = "v1/chat/completions"
TARGET = "chat/main"
QUESTION, ANSWER = (message["content"] for message in conversation(3)["messages"])
PASS_THROUGH = {"extra-parameters": "pass-through"}


def inference_config(port: int = 5001, health: str = "/", scoring: str = "/score") -> dict[str, Any]:
    """How the platform talks to the image."""
    routes = {"livenessRoute": health, "readinessRoute": health, "scoringRoute": scoring}
    return {name: {"path": path, "port": port} for name, path in routes.items()}


def environment(rest: Rest, tag: int = 94, config: Any = None, version: str = "1") -> httpx.Response:
    """Puts an environment version."""
    properties = {
        "image": f"{IMAGE}:{tag}",
        "osType": "Linux",
        "inferenceConfig": inference_config() if config is None else config,
    }
    return rest("PUT", f"/environments/vllm/versions/{version}", {"properties": properties})


def deploy(rest: Rest, *, tag: int = 94, config: Any = None, **extra: Any) -> dict[str, Any]:
    """Trains, registers and deploys with an environment; returns the operation's document."""
    output = extra.pop("output", FOLDER)
    rest.train(output=output)
    model = rest.model(output=output)
    rest.endpoint()
    image = environment(rest, tag, config).json()["id"]
    settings = {"maxConcurrentRequestsPerInstance": 8, "requestTimeout": "PT30S"}
    variables = {"WORKER_COUNT": "8", **extra.pop("variables", {})}
    properties = {
        "environmentId": image,
        "environmentVariables": variables,
        "requestSettings": settings,
        **extra,
    }
    answer = rest.deploy(model, **properties)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = rest("GET", answer.headers["Azure-AsyncOperation"]).json()
    return document


def serve(rest: Rest, **given: Any) -> str:
    """The key of an endpoint whose deployment is up."""
    assert deploy(rest, **given)["status"] == "Succeeded"
    assert rest.endpoint(traffic={"main": 100}).status_code == 201
    return str(rest("POST", "/onlineEndpoints/chat/listKeys").json()["primaryKey"])


def body(content: str = QUESTION, **fields: Any) -> dict[str, Any]:
    """OpenAI's chat request."""
    return {"model": "any", "messages": [{"role": "user", "content": content}], **fields}


def events(response: httpx.Response) -> Iterator[Any]:
    """The documents of an event stream, without the end mark."""
    for line in response.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def model_status(response: httpx.Response) -> tuple[int, str | None]:
    """The front door's status, and the container's own."""
    return response.status_code, response.headers.get("ms-azureml-model-error-statuscode")


def test_score_answers_one_conversation(rest: Rest) -> None:
    """`{"output"}` for one; of a list, the first alone; any fault is `{}` with status 200."""
    key = serve(rest)
    assert rest.score(key, chat(QUESTION)).json() == {"output": ANSWER}
    several = [conversation(number)["messages"][:1] for number in (3, 4)]
    assert rest.score(key, {"input_data": {"input_string": several}}).json() == {"output": ANSWER}
    for wrong in ({}, [], {"input_data": {}}, chat("x", temperature=-1), {"input_data": {"input_string": 3}}):
        answer = rest.score(key, wrong)
        assert (answer.status_code, answer.json()) == (200, {})
    stopped = rest.score(key, chat(QUESTION, stop=" number", max_new_tokens=50, unknown=1))
    assert stopped.json() == {"output": ANSWER.partition(" number")[0]}


def test_a_chat_completion_has_usage(rest: Rest) -> None:
    """Text, reason and counted tokens; `length` when the answer was cut; the model's own name."""
    key = serve(rest)
    answer = rest.score(key, body(), path=V1).json()
    choice = answer["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": ANSWER}
    assert choice["finish_reason"] == "stop"
    assert answer["model"] == "Phi-3-mini-4k-instruct"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    cut = rest.score(key, body(max_tokens=3), path=V1).json()
    assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 3)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"temperature": 1.1}, "422"),
        ({"top_p": -0.1}, "422"),
        ({"messages": []}, "422"),
        ({"messages": "hello"}, "422"),
        ({"response_format": {"type": "json_schema"}}, "422"),
        ({"tools": [{"type": "function"}]}, "400"),
        ({"tool_choice": "auto"}, "400"),
    ],
)
def test_what_the_server_refuses(rest: Rest, fields: dict[str, Any], status: str) -> None:
    """The container's 422 and 400 reach the caller as 424 with the status in a header."""
    answer = rest.score(serve(rest), body(**fields), path=V1)
    assert model_status(answer) == (424, status)


def test_extras_are_dropped_passed_or_refused(rest: Rest) -> None:
    """Dropped on `/v1`, passed with the header, unless it is not forwarded; 400 on the older path."""
    key = serve(rest)
    extras = body(max_completion_tokens=2)

    def length(headers: dict[str, str] | None = None) -> int:
        answer = rest.score(key, extras, path=V1, headers=headers).json()
        return int(answer["usage"]["completion_tokens"])

    assert length() > 2
    assert length(PASS_THROUGH) == 2
    rest.emulator.set_switches(headers_forwarded=False)
    assert length(PASS_THROUGH) > 2
    assert model_status(rest.score(key, extras, path="chat/completions")) == (424, "400")
    assert rest.score(key, body(), path="chat/completions").status_code == 200


def test_v1_begins_with_tag_81(rest: Rest) -> None:
    """An older image has the path without `/v1` only."""
    key = serve(rest, tag=75)
    assert model_status(rest.score(key, body(), path=V1)) == (424, "404")
    assert rest.score(key, body(), path="chat/completions").status_code == 200


def test_tokens_stream_at_the_models_pace(rest: Rest) -> None:
    """The first piece arrives long before the last; usage comes only if it was passed through."""
    key = serve(rest)
    rest.emulator.set_pace(replace(INSTANT, token=0.02))
    request = body(stream=True, stream_options={"include_usage": True})
    for headers, with_usage in (({}, False), (PASS_THROUGH, True)):
        arrivals, documents = [], []
        authorized = {"Authorization": f"Bearer {key}", **headers}
        url = f"/_scoring/chat/{V1}"
        with rest.http.stream("POST", url, json=request, headers=authorized) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            for document in events(response):
                arrivals.append(time.monotonic())
                documents.append(document)
        pieces = [one["choices"][0] for one in documents if one["choices"]]
        assert "".join(one["delta"].get("content", "") for one in pieces) == ANSWER
        assert pieces[-1]["finish_reason"] == "stop"
        assert bool(documents[-1].get("usage")) == with_usage
        assert arrivals[-1] - arrivals[1] > 0.02 * (len(pieces) - 4)


def test_a_disconnect_ends_the_generation(rest: Rest) -> None:
    """The worker is free again, and the generation counts as aborted."""
    key = serve(rest, variables={"WORKER_COUNT": "1"})
    rest.emulator.set_pace(replace(INSTANT, token=0.05))
    headers = {"Authorization": f"Bearer {key}"}
    with rest.http.stream(
        "POST", f"/_scoring/chat/{V1}", json=body(stream=True), headers=headers
    ) as response:
        next(events(response))
    deadline = time.monotonic() + 20
    while (
        rest.emulator.generations(TARGET)["in_progress"] or not rest.emulator.generations(TARGET)["aborted"]
    ):
        assert time.monotonic() < deadline, rest.emulator.generations(TARGET)
        time.sleep(0.01)
    rest.emulator.set_pace("instant")
    assert rest.score(key, body(), path=V1).status_code == 200


def test_a_buffering_front_door_sends_it_all_at_the_end(rest: Rest) -> None:
    """The same events, in one piece."""
    key = serve(rest)
    rest.emulator.set_switches(streaming="buffered")
    answer = rest.score(key, body(stream=True), path=V1)
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in events(answer)) == ANSWER


@pytest.mark.parametrize("how", ["fault", "timeout"])
def test_a_stream_can_break(rest: Rest, how: str) -> None:
    """By a fault after so many pieces, or by the request's timeout."""
    settings = {"requestTimeout": "PT0.3S", "maxConcurrentRequestsPerInstance": 1}
    key = serve(rest, requestSettings=settings)
    if how == "fault":
        rest.emulator.add_fault(container={"cut_after": 3})
    else:
        rest.emulator.set_pace(replace(INSTANT, token=0.1))
    headers = {"Authorization": f"Bearer {key}"}
    with (
        pytest.raises(httpx.TransportError),
        rest.http.stream("POST", f"/_scoring/chat/{V1}", json=body(stream=True), headers=headers) as response,
    ):
        assert list(events(response))
    rest.emulator.set_pace("instant")
    assert rest.score(key, body(), path=V1).status_code == 200


def test_workers_limit_what_is_generated_at_once(rest: Rest) -> None:
    """Two workers of eight that the platform lets in; beyond sixteen pending ones, 429."""
    key = serve(rest, variables={"WORKER_COUNT": "2"})
    rest.emulator.set_pace(replace(INSTANT, token=0.01))
    with ThreadPoolExecutor(40) as pool:
        statuses = list(
            pool.map(lambda _: rest.score(key, body(max_tokens=8), path=V1).status_code, range(40))
        )
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 16
    assert rest.emulator.generations(TARGET)["most_in_progress"] == 2


def test_a_generation_that_takes_too_long_is_408(rest: Rest) -> None:
    """And it is given up."""
    key = serve(rest, requestSettings={"requestTimeout": "PT0.2S", "maxConcurrentRequestsPerInstance": 1})
    rest.emulator.set_pace(replace(INSTANT, token=0.05))
    assert rest.score(key, body(), path=V1).status_code == 408
    assert rest.emulator.generations(TARGET)["aborted"] == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"variables": {"MAX_MODEL_LEN": "9999"}},
        {"variables": {"TENSOR_PARALLEL": "2"}},
        {"fault": "CUDA out of memory"},
    ],
)
def test_a_failed_engine_hides_behind_good_health(rest: Rest, broken: dict[str, Any]) -> None:
    """The deployment succeeds; `/score` answers `{}`, the OpenAI routes 500."""
    fault = broken.pop("fault", None)
    if fault:
        rest.emulator.add_fault(match={"target": TARGET}, container={"engine": fault})
    key = serve(rest, **broken)
    assert rest.score(key, chat(QUESTION)).json() == {}
    assert model_status(rest.score(key, body(), path=V1)) == (424, "500")


@pytest.mark.parametrize(
    ("given", "log"),
    [
        ({"output": "trained_model"}, "mlflow_model_folder"),
        ({"config": inference_config(health="/health")}, "404"),
        ({"config": inference_config(port=80)}, "5001"),
        ({"variables": {"WORKER_COUNT": "many"}}, "WORKER_COUNT"),
    ],
)
def test_containers_that_do_not_start(rest: Rest, given: dict[str, Any], log: str) -> None:
    """The operation fails in the words of 2026; the log has the reason."""
    document = deploy(rest, **given)
    assert document["status"] == "Failed"
    assert document["error"]["code"] == "BadArgument"
    assert document["error"]["message"].startswith("User container has crashed or terminated: ")
    content = rest("POST", "/onlineEndpoints/chat/deployments/main/getLogs", {}).json()["content"]
    assert log in content


def test_switches_about_the_model_folder(rest: Rest) -> None:
    """The folder may have the component's name whatever the output's; the container may not be told where."""
    rest.emulator.set_switches(model_folder=FOLDER)
    assert deploy(rest, output="trained_model")["status"] == "Succeeded"
    rest.emulator.reset()
    rest.emulator.set_switches(model_dir_injected=False)
    assert deploy(rest)["status"] == "Failed"
    rest.emulator.reset()
    rest.emulator.set_switches(model_dir_injected=False)
    told = {"AZUREML_MODEL_DIR": "/var/azureml-app/azureml-models/ft/1"}
    assert deploy(rest, variables=told)["status"] == "Succeeded"


def test_the_engines_own_port(rest: Rest) -> None:
    """Port 8000 filters nothing and knows one model name; the scoring URI follows the scoring route."""
    config = inference_config(8000, "/health", "/v1/chat/completions")
    key = serve(rest, config=config, variables={"SERVED_MODEL_NAME": "tuned"})
    uri = rest("GET", "/onlineEndpoints/chat").json()["properties"]["scoringUri"]
    assert uri.endswith(f"/_scoring/chat/{V1}")
    hot = body(temperature=1.5)
    assert rest.score(key, {**hot, "model": "tuned"}, path=V1).status_code == 200
    assert model_status(rest.score(key, hot, path=V1)) == (424, "404")


def test_environments_do_not_change(rest: Rest) -> None:
    """A version keeps its image and inference config; a deployment names one that is there, and complete."""
    first = environment(rest)
    assert first.status_code == 201
    assert first.json()["properties"]["inferenceConfig"]["scoringRoute"] == {"path": "/score", "port": 5001}
    assert environment(rest).status_code == 200
    assert environment(rest, tag=92).status_code == 409
    assert environment(rest, config=inference_config(8000)).status_code == 409
    assert environment(rest, config={"livenessRoute": {"path": "/"}}, version="2").status_code == 400
    assert rest("PUT", "/environments/e/versions/1", {"properties": {}}).status_code == 400
    rest.train(output=FOLDER)
    model = rest.model(output=FOLDER)
    rest.endpoint()
    missing = first.json()["id"].replace("/vllm/", "/absent/")
    refused = rest.deploy(model, environmentId=missing)
    assert (refused.status_code, "EnvironmentNotFound" in refused.text) == (404, True)
    bare = environment(rest, config={}, version="3").json()["id"]
    assert rest.deploy(model, environmentId=bare).status_code == 400


@pytest.mark.parametrize("accepted", [True, False])
def test_an_environment_of_the_registry(rest: Rest, accepted: bool) -> None:
    """Whether a deployment may name one is not known: both answers are there."""
    rest.emulator.set_switches(registry_environment=accepted)
    rest.train(output=FOLDER)
    model = rest.model(output=FOLDER)
    rest.endpoint()
    image = "azureml://registries/azureml/environments/foundation-model-inference/versions/94"
    answer = rest.deploy(model, environmentId=image)
    assert answer.status_code == (201 if accepted else 404)


@pytest.mark.parametrize(
    "probe",
    [{"period": "soon"}, {"timeout": "PT0S"}, {"failureThreshold": 0}, {"initialDelay": 5}],
)
def test_probes_are_checked(rest: Rest, probe: dict[str, Any]) -> None:
    """ISO 8601 durations above nothing, thresholds of at least one."""
    rest.train()
    model = rest.model()
    rest.endpoint()
    assert rest.deploy(model, livenessProbe=probe, instanceType=GPU_SIZE).status_code == 400
