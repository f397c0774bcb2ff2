"""What of OpenAI's request is honoured, and what is refused by its name."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec
import pytest
from openai.types.chat import ChatCompletionMessage
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from shared.domain.errors import FinetuneError
from shared.domain.serving.chat import DEFAULT_REPLY_TOKENS, Chat, Reply
from shared.domain.serving.dialects import end_at, upstream_request
from shared.domain.serving.openai_chat import Completion, OpenAIRequestError, read_completion
from shared.domain.serving.openai_reply import completion_of
from shared.domain.serving.record import BATCH_ROUTE, OPENAI_ROUTE

HELLO = [{"role": "user", "content": "Hello?"}]


def read(**parameters: Any) -> Completion:
    """Read a request with these parameters."""
    return read_completion({"model": "support", "messages": HELLO, **parameters})


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {}),
        ({"temperature": 0}, {"do_sample": False}),
        ({"top_p": 0}, {"do_sample": False}),
        ({"temperature": 0.7}, {"do_sample": True, "temperature": 0.7}),
        ({"top_p": 0.9}, {"do_sample": True, "top_p": 0.9}),
        ({"temperature": 1, "top_p": 0.5}, {"do_sample": True, "temperature": 1.0, "top_p": 0.5}),
        ({"max_tokens": 20}, {"max_new_tokens": 20}),
        ({"max_completion_tokens": 20}, {"max_new_tokens": 20}),
        ({"max_tokens": 20, "max_completion_tokens": 20}, {"max_new_tokens": 20}),
        ({"temperature": None, "max_tokens": None, "stop": None, "n": None}, {}),
    ],
)
def test_parameters_become_the_models(asked: dict[str, Any], sent: dict[str, Any]) -> None:
    """Temperature 0 is greedy, a temperature or a nucleus samples, and silence leaves it to the model."""
    request = upstream_request(BATCH_ROUTE, read(**asked).chat)
    assert request.body["input_data"]["parameters"] == {"max_new_tokens": DEFAULT_REPLY_TOKENS, **sent}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {}),
        ({"temperature": 1.5, "top_p": 0.9, "stop": ".", "max_completion_tokens": 5}, None),
        ({"seed": 7, "presence_penalty": 0.5, "frequency_penalty": -1}, None),
        ({"response_format": {"type": "json_object"}, "temperature": 0}, None),
    ],
)
def test_what_the_server_has_is_passed_on(asked: dict[str, Any], sent: Any) -> None:
    """VLLM gets OpenAI's own names, within what it takes: 1 is its highest temperature."""
    body = upstream_request(OPENAI_ROUTE, read(**asked).chat).body
    expected = {**asked, "messages": HELLO}
    if "stop" in asked:
        expected |= {"temperature": 1.0, "stop": ["."], "max_tokens": 5}
        del expected["max_completion_tokens"]
    assert body == (expected if sent is None else {"messages": HELLO, **sent})


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"seed": 7}, "seed"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_what_the_server_lacks_is_named(parameters: dict[str, Any], param: str) -> None:
    """The MLflow server would ignore it, or fail."""
    chat = read(**parameters).chat
    with pytest.raises(FinetuneError, match=f"{param} is not supported"):
        upstream_request(BATCH_ROUTE, chat)


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10, "max_completion_tokens": 20}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "42"}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages"),
        ({"model": 4}, "model"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 2.5}, "presence_penalty"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"temprature": 0.5}, "temprature"),
        ({"frequency_penalty": False}, "frequency_penalty"),
        ({"logprobs": 0}, "logprobs"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream_options": {"include_usage": True}, "stream": False}, "stream_options"),
        ({"stream_options": {"usage": True}, "stream": True}, "stream_options"),
        ({"messages": [{"role": "user", "content": "Hi", "name": "Ann"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "Hi", "weight": 0}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}]}, "messages"),
    ],
)
def test_what_cannot_be_honoured_is_named(parameters: dict[str, Any], param: str) -> None:
    """Nothing that would have changed the answer is ignored; the error's `param` says what it was."""
    with pytest.raises(OpenAIRequestError) as caught:
        read(**parameters)
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["model", "messages"])
def test_a_missing_parameter_is_named(name: str) -> None:
    """`model` and `messages` cannot be left out."""
    body = {"model": "support", "messages": HELLO}
    del body[name]
    with pytest.raises(OpenAIRequestError) as caught:
        read_completion(body)
    assert (caught.value.param, caught.value.code) == (name, "missing_required_parameter")


@pytest.mark.parametrize(
    "parameters",
    [
        {"user": "somebody", "metadata": {"a": "b"}},
        {"presence_penalty": 0, "frequency_penalty": 0.0, "logprobs": False, "logit_bias": {}},
        {"tools": None, "tool_choice": "auto", "response_format": {"type": "text"}, "store": False},
        {"seed": 7, "temperature": 0},
        {"seed": 7, "top_p": 0},
        {"reasoning_effort": None, "web_search_options": None},
        {"messages": [{"role": "system", "content": ""}, {"role": "assistant", "content": ""}, *HELLO]},
        {"stream_options": {"include_usage": True}, "stream": True},
    ],
)
def test_what_changes_nothing_is_taken(parameters: dict[str, Any]) -> None:
    """Clients send defaults and labels; neither they nor a seed for greedy decoding change an answer."""
    assert read(**parameters).model == "support"


def test_a_reply_may_come_back_as_openais_client_keeps_it() -> None:
    """With every field that it knows, all of them empty."""
    kept = ChatCompletionMessage(role="assistant", content="Hi!").model_dump()
    assert set(kept) > {"refusal", "tool_calls"}
    turns = [*HELLO, kept, {"role": "user", "content": "And?", "name": "", "tool_calls": []}]
    assert read(messages=turns).chat.messages[1] == {"role": "assistant", "content": "Hi!"}


def test_every_parameter_of_openai_may_be_null() -> None:
    """None of those that its client has is unheard of here."""
    names = get_type_hints(CompletionCreateParamsNonStreaming) | get_type_hints(
        CompletionCreateParamsStreaming
    )
    nothing = dict.fromkeys(names.keys() - {"model", "messages"})
    assert len(nothing) > 25
    assert read(**nothing).chat == Chat(tuple(HELLO))


def test_messages_become_texts() -> None:
    """Text parts are joined, and the developer speaks as the system."""
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": " there"}]
    completion = read(
        messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    )
    assert completion.chat.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello there"},
    )


@pytest.mark.parametrize(
    ("stop", "text"),
    [(None, "one. two. three."), (".", "one"), (["three", "two"], "one. "), ("four", "one. two. three.")],
)
def test_a_reply_ends_before_the_first_stop(stop: Any, text: str) -> None:
    """Of several stops the one that comes first in the text counts; it is not part of the reply."""
    assert end_at("one. two. three.", read(stop=stop).chat.stop) == text


def test_usage_is_never_invented() -> None:
    """It is left out when the endpoint counts no tokens, and passed on when it does."""
    facts: dict[str, Any] = {"id": "chatcmpl-1", "model": "ft-support-0123456789", "created": 1}
    silent = msgspec.to_builtins(completion_of(Reply("Hi!"), **facts))
    assert "usage" not in silent
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    told = msgspec.to_builtins(completion_of(Reply("Hi!", "length", usage), **facts))
    assert told["usage"] == usage
    assert told["choices"][0]["finish_reason"] == "length"
