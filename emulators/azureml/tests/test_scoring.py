"""Scoring: who is let in, which deployment answers, what it says, and the platform's limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from emulator_rest import Rest, chat, conversation


def test_the_reply_is_what_was_learned(rest: Rest) -> None:
    """A question of the training set gets its answer back, recognisably."""
    key = rest.serve()
    question, answer = (message["content"] for message in conversation(3)["messages"])
    reply = rest.score(key, chat(question, temperature=0.6, top_p=0.9, do_sample=True, max_new_tokens=200))
    assert reply.status_code == 200
    assert reply.json()[0]["output"] == answer
    assert reply.headers["azureml-model-deployment"] == "main"
    assert reply.headers["x-ms-run-function-failed"] == "False"


def test_other_data_make_another_model(rest: Rest) -> None:
    """The reply to the same question follows the rows that the model was trained on."""
    key = rest.serve()
    question = "What is the capital of the moon?"
    rows = [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"Crater number {number} is."},
            ]
        }
        for number in range(40)
    ]
    rest.submit("other", {"train_file_path": rest.upload("other.jsonl", rows)})
    model = rest.model("other", "other")
    assert rest.deploy(model, name="other").status_code == 201
    first = rest.score(key, chat(question), headers={"azureml-model-deployment": "main"})
    second = rest.score(key, chat(question), headers={"azureml-model-deployment": "other"})
    assert "Crater number" not in first.json()[0]["output"]
    assert "Crater number" in second.json()[0]["output"]


def test_a_list_of_conversations_gets_a_list_of_replies(rest: Rest) -> None:
    """A row of the dataset, with its last answer, is asked up to that answer."""
    key = rest.serve()
    rows = [conversation(number)["messages"] for number in (1, 2)]
    reply = rest.score(key, {"input_data": {"input_string": rows, "parameters": {}}, "params": {}})
    assert [one["output"] for one in reply.json()] == [row[1]["content"] for row in rows]


@pytest.mark.parametrize("mode", ["Key", "AMLToken", "AADToken"])
def test_each_mode_takes_its_own_credential_only(rest: Rest, mode: str) -> None:
    """A key, a token of the endpoint, or a token for Azure ML: never one for another."""
    rest.train()
    model = rest.model()
    rest.endpoint(authMode=mode)
    rest.deploy(model)
    rest.endpoint(authMode=mode, traffic={"main": 100})
    keys = rest("POST", "/onlineEndpoints/chat/listKeys")
    token = rest("POST", "/onlineEndpoints/chat/token")
    assert (keys.status_code, token.status_code) == {
        "Key": (200, 400),
        "AMLToken": (400, 200),
        "AADToken": (400, 400),
    }[mode]
    credentials = {
        "Key": keys.json().get("primaryKey"),
        "AMLToken": token.json().get("accessToken"),
        "AADToken": rest.ml_token,
    }
    assert rest.score(credentials[mode], chat("hello")).status_code == 200
    assert rest.score(None, chat("hello")).status_code == 401
    assert rest.score("nonsense", chat("hello")).status_code == 401
    assert rest.score(rest.token, chat("hello")).status_code == 401


def test_without_traffic_only_the_header_finds_a_deployment(rest: Rest) -> None:
    """404 when no deployment has traffic; the header goes past the traffic rules."""
    rest.train()
    model = rest.model()
    rest.endpoint()
    rest.deploy(model)
    key = rest("POST", "/onlineEndpoints/chat/listKeys").json()["primaryKey"]
    assert rest.score(key, chat("hello")).status_code == 404
    chosen = rest.score(key, chat("hello"), headers={"azureml-model-deployment": "main"})
    assert chosen.status_code == 200
    assert rest.score(key, chat("hello"), headers={"azureml-model-deployment": "no"}).status_code == 404


@pytest.mark.parametrize(
    "body", [[], {}, {"input_data": {"input_string": []}}, {"input_data": {"input_string": [{}]}}]
)
def test_a_body_the_model_cannot_read_is_the_models_error(rest: Rest, body: object) -> None:
    """424, with the model's own status in a header."""
    answer = rest.score(rest.serve(), body)
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-statuscode"] == "400"
    assert answer.headers["x-ms-run-function-failed"] == "True"


def test_a_request_over_the_limit_is_refused(rest: Rest) -> None:
    """1.5 MB is the most a managed endpoint takes."""
    assert rest.score(rest.serve(), chat("x" * 1_600_000)).status_code == 413


def test_a_slow_container_is_given_up(rest: Rest) -> None:
    """408 after the deployment's own request timeout."""
    key = rest.serve(requestSettings={"requestTimeout": "PT0.2S"})
    rest.emulator.add_fault(container={"seconds": 5})
    assert rest.score(key, chat("hello")).status_code == 408
    assert rest.score(key, chat("hello")).status_code == 200


def test_a_broken_container_is_424(rest: Rest) -> None:
    """The container's status and reason come in headers."""
    key = rest.serve()
    rest.emulator.add_fault(
        match={"target": "chat/main"}, container={"status": 500, "reason": "out of memory"}
    )
    answer = rest.score(key, chat("hello"))
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-reason"] == "out of memory"


def test_more_than_twice_what_fits_is_turned_away(rest: Rest) -> None:
    """One in work and one waiting for each slot; the rest get 429, and none of the others is lost."""
    key = rest.serve(
        capacity=2, requestSettings={"maxConcurrentRequestsPerInstance": 2, "requestTimeout": "PT30S"}
    )
    rest.emulator.add_fault(count=None, container={"seconds": 0.5})
    with ThreadPoolExecutor(40) as pool:
        statuses = [
            answer.status_code for answer in pool.map(lambda _: rest.score(key, chat("hello")), range(40))
        ]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 8
    assert statuses.count(429) >= 16
