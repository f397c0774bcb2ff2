"""The routes under `/v1`, with the ports in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from handlers.http.auth import check_key
from handlers.http.responses import Response
from shared.domain.errors import RequestError, ScoringError
from shared.domain.run.stages import Stage
from shared.domain.serving.record import BATCH_ROUTE, OPENAI_ROUTE, Serving, StrategyName
from shared.serving.endpoint_directory import LISTED_AGAIN, LISTED_FOR
from tests.app.builders import NOW, a_run
from tests.app.edge import BY_NAME, app_of, ask
from tests.app.fakes import World
from tests.app.worlds import SETTINGS

KEY = "a key"
HEADERS = {"authorization": f"Bearer {KEY}"}
VLLM = Serving(strategy=StrategyName.VLLM_ENVIRONMENT, route=OPENAI_ROUTE, concurrency=2, instances=1)
MLFLOW = Serving(strategy=StrategyName.MLFLOW, route=BATCH_ROUTE, concurrency=1, instances=1)
OLD, NEW = "ft-support-0000000001", "ft-support-0000000002"


class Api:
    """The handlers over one world."""

    def __init__(self) -> None:
        self.world = World()
        self.world.cloud.answers = lambda _: [{"0": "Hello!"}]
        self.app = app_of(self.world, msgspec.structs.replace(SETTINGS, api_keys=KEY))
        self.loop = asyncio.Runner()

    def add(
        self,
        run_id: str,
        *,
        hours: float = 0,
        stage: Stage = Stage.LIVE,
        dataset: str = "support",
        serving: Serving = MLFLOW,
    ) -> None:
        """Store a run that was opened so many hours ago."""
        at = NOW - timedelta(hours=hours)
        run = a_run(stage, run_id=run_id, dataset=dataset, now=at)
        if run.endpoint is not None:
            run = msgspec.structs.replace(
                run, endpoint=msgspec.structs.replace(run.endpoint, serving=serving, name=run.run_id)
            )
        self.world.runs.create(run)

    def read(self, answer: Response) -> list[Any]:
        """The events of a stream to its end; of the last, its text."""
        assert not isinstance(answer.body, bytes)

        async def whole(chunks: AsyncIterator[bytes]) -> bytes:
            return b"".join([chunk async for chunk in chunks])

        events = self.loop.run(whole(answer.body)).decode().split("\n\n")
        assert events.pop() == ""
        data = [event.removeprefix("data: ") for event in events]
        return [text if text == "[DONE]" else json.loads(text) for text in data]

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
    assert isinstance(answer.body, bytes)
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
    assert (answer.status, error_of(answer)["message"]) == (
        503,
        "this route is not available; the app's log has the reason",
    )
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
    ((target, request, _),) = api.world.cloud.scored
    assert target.name == NEW
    assert request["input_data"] == {
        "input_string": [[{"role": "user", "content": "Hello?"}]],
        "parameters": {"do_sample": False, "max_new_tokens": 5},
    }


def test_an_endpoint_that_counts_is_quoted(api: Api) -> None:
    """Usage and the reason of the end are the server's where it gives them."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"message": {"content": "Hi! And more"}, "finish_reason": "length"}
    api.world.cloud.answers = lambda _: {"choices": [choice], "usage": usage}
    api.add(NEW, serving=VLLM)
    whole = json.loads(api.chat().body)
    assert (whole["usage"], whole["choices"][0]["finish_reason"]) == (usage, "length")


@pytest.mark.parametrize("said", [{}, {"error": "CUDA"}, [], None, [{"error": "CUDA"}]])
def test_an_answer_without_text_is_the_endpoints_fault(api: Api, said: Any) -> None:
    """It is no empty reply, and its words of a fault are nobody's; streamed or not."""
    api.add(NEW)
    api.world.cloud.answers = lambda _: said
    for stream in (False, True):
        answer = api.chat(stream=stream)
        assert answer.status == 502
        assert "CUDA" not in error_of(answer)["message"]


def test_a_model_that_cannot_stream_answers_in_one_piece(api: Api) -> None:
    """In OpenAI's form of a stream all the same."""
    api.add(NEW)
    answer = api.chat(stream=True)
    assert answer.content_type.startswith("text/event-stream")
    *events, done = api.read(answer)
    assert done == "[DONE]"
    assert [event["choices"][0]["delta"] for event in events] == [
        {"role": "assistant", "content": ""},
        {"content": "Hello!"},
        {},
    ]
    assert {(event["model"], event["object"]) for event in events} == {(NEW, "chat.completion.chunk")}
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


SAID = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'
ENDED = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
COUNTED = b'data: {"choices":[],"usage":{"total_tokens":5}}\n\n'
OVER = b"data: [DONE]\n\n"


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_stream_is_passed_on_with_the_usage_that_was_asked_for(api: Api, include_usage: bool) -> None:
    """Piece by piece, under the app's own id; the count is an event without choices."""
    api.add(NEW, serving=VLLM)
    api.world.cloud.chunks = [SAID % b"Hi", SAID % b"!" + ENDED, COUNTED, OVER]
    answer = api.chat(stream=True, stream_options={"include_usage": include_usage})
    *events, done = api.read(answer)
    assert done == "[DONE]"
    ((_, asked, _),) = api.world.cloud.scored
    assert asked["stream"] is True
    assert asked.get("stream_options") == ({"include_usage": True} if include_usage else None)
    said = [event["choices"][0] for event in events if event["choices"]]
    assert "".join(choice["delta"].get("content", "") for choice in said) == "Hi!"
    assert said[-1]["finish_reason"] == "length"
    assert [event["usage"] for event in events if not event["choices"]] == (
        [{"total_tokens": 5}] if include_usage else []
    )
    assert api.world.cloud.streaming == 0


def test_what_fails_before_the_first_piece_is_an_answer_like_any_other(api: Api) -> None:
    """With its own status, and not an event."""
    api.add(NEW, serving=VLLM)
    api.world.cloud.faults["score"] = [ScoringError(429, "no", code="TooManyRequests", retry_after=7.0)]
    answer = api.chat(stream=True)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    for chunks in ([b"data: nonsense\n\n"], [OVER], []):
        api.world.cloud.chunks = chunks
        assert api.chat(stream=True).status == 502
    assert api.world.cloud.streaming == 0


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ([ScoringError(502, "the model's server closed the stream", code="StreamBroken")], "StreamBroken"),
        ([], "StreamBroken"),
        ([b'data: {"error":{"message":"CUDA"}}\n\n'], "ModelError"),
        ([KeyError("the inside")], "InternalError"),
    ],
)
def test_what_breaks_in_mid_stream_is_an_event(api: Api, rest: list[Any], code: str) -> None:
    """With the words of any other error; nothing says that the reply is whole."""
    api.add(NEW, serving=VLLM)
    api.world.cloud.chunks = [SAID % b"Hi", *rest]
    events = api.read(api.chat(stream=True))
    assert events[-1]["error"]["code"] == code
    assert not {"CUDA", "the inside"} & set(events[-1]["error"]["message"].split(": "))
    assert api.world.cloud.streaming == 0


def test_a_caller_that_leaves_ends_the_request(api: Api) -> None:
    """The endpoint's stream is closed, and its turn is given back."""
    api.add(NEW, serving=VLLM)
    api.world.cloud.chunks = [SAID % b"Hi"] * 1000
    for _ in range(3):
        answer = api.chat(stream=True)
        events = answer.body

        async def leave(events: Any = events) -> None:
            await anext(events)
            assert api.world.cloud.streaming == 1
            await events.aclose()

        api.loop.run(leave())
        assert api.world.cloud.streaming == 0


def test_a_stream_takes_a_turn_until_its_end(api: Api) -> None:
    """The next request waits for it, and is refused after a while."""
    api.app = app_of(api.world, msgspec.structs.replace(SETTINGS, api_keys=KEY, scoring_queue_seconds=0))
    api.add(NEW, serving=msgspec.structs.replace(VLLM, concurrency=1))
    api.world.cloud.chunks = [SAID % b"Hi", ENDED, OVER]
    first = api.chat(stream=True)
    refused = api.chat(stream=True)
    assert (refused.status, error_of(refused)["code"]) == (429, "TooManyRequests")
    assert int(refused.headers["Retry-After"]) >= 1
    api.read(first)
    assert api.chat(stream=True).status == 200


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
