"""Requests and replies in each dialect: translated or refused, and faults behind a 200 found out."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.errors import RequestError, ScoringError
from shared.domain.serving.chat import DEFAULT_REPLY_TOKENS, Chat, UnsupportedParameterError
from shared.domain.serving.dialects import read_reply, upstream_request
from shared.domain.serving.record import BATCH_ROUTE, OLD_OPENAI_ROUTE, OPENAI_ROUTE, SCORE_ROUTE, Route

HELLO = ({"role": "user", "content": "Hello?"},)
ROUTES = (OPENAI_ROUTE, OLD_OPENAI_ROUTE, SCORE_ROUTE, BATCH_ROUTE)


def body(route: Route, **chat: Any) -> dict[str, Any]:
    """The request of a chat."""
    return dict(upstream_request(route, Chat(**{"messages": HELLO, **chat})).body)


def parameters(route: Route, **chat: Any) -> dict[str, Any]:
    """The generation parameters of a `/score` request."""
    return dict(body(route, **chat)["input_data"]["parameters"])


def test_a_conversation_is_wrapped_as_each_server_takes_it() -> None:
    """OpenAI's messages, one conversation, a list of conversations."""
    assert body(OPENAI_ROUTE) == {"messages": list(HELLO)}
    assert body(SCORE_ROUTE)["input_data"]["input_string"] == list(HELLO)
    assert body(BATCH_ROUTE)["input_data"]["input_string"] == [list(HELLO)]


@pytest.mark.parametrize("route", [SCORE_ROUTE, BATCH_ROUTE])
def test_score_always_gets_a_number_of_tokens(route: Route) -> None:
    """Its servers would stop after 16, or go on to the end of the context."""
    assert parameters(route) == {"max_new_tokens": DEFAULT_REPLY_TOKENS}
    assert parameters(route, max_tokens=7, temperature=0) == {"max_new_tokens": 7, "do_sample": False}


def test_a_system_text_reaches_the_model_as_it_was_trained() -> None:
    """The MLflow server would wrap it in Llama 2's marks, whatever the model; others take none of this."""
    messages = ({"role": "system", "content": "Be brief."}, *HELLO)
    config = {"preprocessing_config": {"B_SYS": "", "E_SYS": ""}}
    assert parameters(BATCH_ROUTE, messages=messages)["dev_args"] == config
    assert "dev_args" not in parameters(BATCH_ROUTE) | parameters(SCORE_ROUTE, messages=messages)


def test_no_temperature_over_one_reaches_the_image() -> None:
    """It would be answered by 422. Greedy decoding is a temperature of 0, also where `top_p` asks for it."""
    assert body(OPENAI_ROUTE, temperature=1.7)["temperature"] == 1
    assert body(OPENAI_ROUTE, top_p=0)["temperature"] == 0
    assert "top_p" not in body(OPENAI_ROUTE, top_p=0)


def test_usage_of_a_stream_is_asked_for_only_where_it_can_pass() -> None:
    """Images before `/v1` answer 400 to parameters that they do not know."""
    new = upstream_request(OPENAI_ROUTE, Chat(HELLO), stream=True, usage=True)
    old = upstream_request(OLD_OPENAI_ROUTE, Chat(HELLO), stream=True, usage=True)
    assert new.body["stream_options"] == {"include_usage": True}
    assert new.headers == {"extra-parameters": "pass-through"}
    assert (old.body["stream"], "stream_options" in old.body, old.headers) == (True, False, {})


@pytest.mark.parametrize(
    ("route", "name", "value"),
    [
        (BATCH_ROUTE, "seed", 1),
        (BATCH_ROUTE, "presence_penalty", 0.5),
        (BATCH_ROUTE, "frequency_penalty", 0.5),
        (BATCH_ROUTE, "json_object", True),
        (SCORE_ROUTE, "json_object", True),
    ],
)
def test_what_a_server_cannot_honour_is_refused_by_name(route: Route, name: str, value: Any) -> None:
    """Sent on, it would raise in the model or be dropped."""
    with pytest.raises(UnsupportedParameterError) as caught:
        body(route, **{name: value})
    assert caught.value.param == {"json_object": "response_format"}.get(name, name)
    assert caught.value.status == 400


@pytest.mark.parametrize("roles", ["assistant", "user user", "user assistant", "system", "user system user"])
def test_turns_on_which_the_mlflow_model_fails_are_refused(roles: str) -> None:
    """VLLM's templates take them; this one asserts."""
    messages = tuple({"role": role, "content": "x"} for role in roles.split())
    with pytest.raises(RequestError, match=roles.split(maxsplit=1)[0]):
        body(BATCH_ROUTE, messages=messages)
    assert body(OPENAI_ROUTE, messages=messages)


@pytest.mark.parametrize(
    ("route", "answer", "text"),
    [
        (OPENAI_ROUTE, {"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}]}, "Hi"),
        (SCORE_ROUTE, {"output": "Hi"}, "Hi"),
        (BATCH_ROUTE, [{"0": "Hi"}], "Hi"),
        (BATCH_ROUTE, ["Hi"], "Hi"),
        (BATCH_ROUTE, [{"0": "Hi STOP there"}], "Hi "),
    ],
)
def test_a_reply_is_where_its_dialect_puts_it(route: Route, answer: Any, text: str) -> None:
    """With what the server says of its end; a server that knows no `stop` is cut by us."""
    reply = read_reply(route, answer, Chat(HELLO, stop=("STOP",)))
    assert (reply.text, reply.finish_reason) == (text, "length" if route is OPENAI_ROUTE else "stop")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "answer", [{}, [], None, "Hi", 7, {"output": None}, [{}], [{"error": "x"}], {"choices": []}]
)
def test_anything_else_is_no_reply(route: Route, answer: Any) -> None:
    """502, and for the `{}` by which the image hides its faults with the reason."""
    with pytest.raises(ScoringError) as caught:
        read_reply(route, answer, Chat(HELLO))
    assert caught.value.status == 502
    assert caught.value.code == ("ModelError" if answer == {} else "InvalidResponse")
