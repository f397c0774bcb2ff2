"""The routes under `/v1`, with the ports in memory."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from handlers.http.auth import check_key
from handlers.http.responses import Response
from shared.domain.errors import RequestError, ScoringError
from shared.domain.run.stages import Stage
from shared.serving.endpoint_directory import LISTED_AGAIN, LISTED_FOR
from tests.app.builders import NOW, a_run
from tests.app.edge import BY_NAME, app_of, ask
from tests.app.fakes import World
from tests.app.worlds import SETTINGS

KEY = "a key"
HEADERS = {"authorization": f"Bearer {KEY}"}
OLD, NEW = "ft-support-0000000001", "ft-support-0000000002"


class Api:
    """The handlers over one world."""

    def __init__(self) -> None:
        self.world = World()
        self.app = app_of(self.world, msgspec.structs.replace(SETTINGS, api_keys=KEY))
        self.loop = asyncio.Runner()

    def add(
        self, run_id: str, *, hours: float = 0, stage: Stage = Stage.LIVE, dataset: str = "support"
    ) -> None:
        """Store a run that was opened so many hours ago."""
        at = NOW - timedelta(hours=hours)
        self.world.runs.create(a_run(stage, run_id=run_id, dataset=dataset, now=at))

    def move(self, run_id: str, stage: Stage) -> None:
        """Let a run have come to a stage."""
        read = self.world.runs.load(run_id)
        self.world.runs.replace(msgspec.structs.replace(read.run, stage=stage), read.etag)

    def later(self, span: timedelta) -> None:
        """Turn the clock."""
        self.world.now += span

    def chat(self, model: str = "support", headers: dict[str, str] = HEADERS, **parameters: Any) -> Response:
        """Say hello to a model."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello?"}], **parameters}
        return self.post(json.dumps(body).encode(), headers)

    def post(self, body: bytes, headers: dict[str, str] = HEADERS) -> Response:
        """Post any body."""
        return self.ask("chat_completions", headers, body=body)

    def ask(
        self, function: str, headers: dict[str, str] = HEADERS, *, body: bytes = b"", model: str = ""
    ) -> Response:
        """Send a request."""
        route = BY_NAME[function]
        return self.loop.run(ask(route, lambda: self.app, path={"model": model}, headers=headers, body=body))


@pytest.fixture
def api() -> Any:
    """Fresh handlers."""
    made = Api()
    with made.loop:
        yield made


def error_of(answer: Response) -> dict[str, Any]:
    """What an answer in OpenAI's form says went wrong."""
    error: dict[str, Any] = json.loads(answer.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_what_was_not_foreseen_has_openais_form(api: Api) -> None:
    """Clients read a server error, and nothing of the inside."""
    api.add(NEW)
    api.world.cloud.faults["score"] = [KeyError("the inside")]
    answer = api.chat()
    assert (answer.status, error_of(answer)["code"]) == (500, "InternalError")
    assert error_of(answer)["type"] == "server_error"
    assert b"inside" not in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"x-functions-key": KEY},
        {"api-key": KEY},
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"api-key": "wrong", "authorization": f"Bearer {KEY}"},
    ],
)
def test_a_key_opens_in_any_of_three_headers(headers: dict[str, str]) -> None:
    """OpenAI's clients, Azure's and this app's own each have a header for it."""
    check_key(headers, ["another", KEY])


@pytest.mark.parametrize(
    "headers",
    [{}, {"api-key": ""}, {"api-key": "a ke"}, {"authorization": KEY}, {"authorization": f"Basic {KEY}"}],
)
def test_nothing_else_opens(headers: dict[str, str]) -> None:
    """No key, a wrong one, or the right one in the wrong place is a 401."""
    with pytest.raises(RequestError) as caught:
        check_key(headers, [KEY])
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


@pytest.mark.parametrize("function", ["chat_completions", "list_models", "get_model"])
@pytest.mark.parametrize("headers", [{}, {"api-key": ""}, {"api-key": "anything"}])
def test_without_configured_keys_nobody_comes_in(
    api: Api, function: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """An empty key opens nothing when no key is configured; the log alone names the setting."""
    api.app = app_of(api.world, msgspec.structs.replace(SETTINGS, api_keys=None))
    answer = api.ask(function, headers, model="support")
    assert (answer.status, error_of(answer)["message"]) == (503, "not available")
    assert "API_KEYS" in caplog.text


def test_every_route_needs_the_key(api: Api) -> None:
    """None of the three answers a stranger, whatever the body."""
    api.add(NEW)
    assert api.chat(headers={}).status == 401
    assert api.post(b"{", {}).status == 401
    for answer in (api.ask("list_models", {}), api.ask("get_model", {}, model="support")):
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert error_of(answer)["type"] == "authentication_error"


def test_the_newest_live_run_of_a_dataset_answers(api: Api) -> None:
    """The dataset's name means the newest live run; an endpoint's name means itself."""
    api.add(OLD, hours=5)
    api.add(NEW, hours=2)
    api.add("ft-support-0000000003", stage=Stage.TRAINING)
    assert json.loads(api.chat("support").body)["model"] == NEW
    assert json.loads(api.chat(OLD).body)["model"] == OLD


def test_a_dataset_called_like_an_endpoint_takes_nobodys_place(api: Api) -> None:
    """An endpoint's name is its own, even if a newer run's dataset is called so."""
    api.add(OLD, hours=5)
    api.add(NEW, hours=2, dataset=OLD)
    assert json.loads(api.chat(OLD).body)["model"] == OLD


def test_another_run_takes_over_at_once_when_one_goes(api: Api) -> None:
    """A model that was deleted within the minute is looked up anew instead of answering 410."""
    api.add(OLD, hours=5)
    api.add(NEW, hours=2)
    assert api.chat().status == 200
    api.move(NEW, Stage.DELETING)
    api.later(timedelta(minutes=1) - timedelta(seconds=1))
    api.app.directory._targets.discard(NEW)
    assert json.loads(api.chat().body)["model"] == OLD


def test_models_that_come_are_found(api: Api) -> None:
    """An unknown model is looked for again after two seconds, a newer run of a known one within a minute."""
    assert api.chat().status == 404
    api.add(OLD, hours=5)
    assert api.chat().status == 404
    api.later(LISTED_AGAIN)
    assert json.loads(api.chat().body)["model"] == OLD
    api.add(NEW, hours=2)
    api.later(LISTED_FOR)
    assert json.loads(api.chat().body)["model"] == NEW


def test_an_unknown_model_is_an_error_of_the_model(api: Api) -> None:
    """OpenAI's clients know this as their NotFoundError."""
    answer = api.chat("nonsense")
    error = error_of(answer)
    assert (answer.status, error["param"], error["code"]) == (404, "model", "model_not_found")


def test_the_list_has_each_name_once(api: Api) -> None:
    """Endpoints by their names, datasets by theirs, with when they went live and who answers."""
    api.add(OLD, hours=5)
    api.add(NEW, hours=2)
    answer = api.ask("list_models")
    listed = json.loads(answer.body)
    assert listed["object"] == "list"
    assert {model["id"]: model["root"] for model in listed["data"]} == {"support": NEW, OLD: OLD, NEW: NEW}
    assert all(isinstance(model["created"], int) for model in listed["data"])
    one = api.ask("get_model", model="support")
    assert json.loads(one.body) in listed["data"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000])
def test_bodies_that_mean_nothing(api: Api, body: bytes) -> None:
    """They are 400 in OpenAI's form."""
    answer = api.post(body)
    assert (answer.status, error_of(answer)["type"]) == (400, "invalid_request_error")


def test_the_endpoint_gets_the_notebooks_payload(api: Api) -> None:
    """The conversation and the parameters arrive as Azure ML's chat models take them."""
    api.add(NEW)
    api.chat(temperature=0, max_tokens=5)
    ((target, payload, _),) = api.world.cloud.scored
    assert target.name == NEW
    assert payload["input_data"] == {
        "input_string": [[{"role": "user", "content": "Hello?"}]],
        "parameters": {"do_sample": False, "max_new_tokens": 5},
    }


def test_an_endpoint_that_counts_is_quoted(api: Api) -> None:
    """Usage and the reason of the end are the endpoint's where it gives them."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"message": {"content": "Hi! And more"}, "finish_reason": "length"}
    api.world.cloud.answers = lambda _: {"choices": [choice], "usage": usage}
    api.add(NEW)
    whole = json.loads(api.chat().body)
    assert (whole["usage"], whole["choices"][0]["finish_reason"]) == (usage, "length")
    cut = json.loads(api.chat(stop="!").body)
    assert cut["choices"][0] | {"finish_reason": "stop"} == cut["choices"][0]
    assert cut["choices"][0]["message"]["content"] == "Hi"


@pytest.mark.parametrize("said", [{"output": ""}, {"error": "CUDA"}, [], None])
def test_an_answer_without_text_is_the_endpoints_fault(api: Api, said: Any) -> None:
    """It is no empty reply, and its words of a fault are nobody's."""
    api.add(NEW)
    api.world.cloud.answers = lambda _: said
    answer = api.chat()
    assert (answer.status, error_of(answer)["code"]) == (502, "InvalidResponse")


def test_streams_are_event_streams(api: Api) -> None:
    """The content type is the one that clients look for."""
    api.add(NEW)
    answer = api.chat(stream=True)
    assert answer.content_type.startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "rate_limit_error"), (502, "server_error"), (504, "server_error")]
)
def test_the_endpoints_errors_are_passed_on(api: Api, status: int, kind: str) -> None:
    """With the status of the score route, which OpenAI's clients know when to try again on."""
    api.add(NEW)
    fault = ScoringError(status, "no", code="Fault", upstream_status=429, retry_after=7.0)
    api.world.cloud.faults["score"] = [fault]
    answer = api.chat()
    assert (answer.status, error_of(answer)["type"]) == (status, kind)
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)
