"""Clients that people have, unchanged, against the function host and a live model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.live_stack import DATASET, LiveStack

QUESTION: list[Any] = [{"role": "user", "content": "How do I keep bread fresh?"}]


@pytest.fixture
def client(live_stack: LiveStack) -> Iterator[openai.OpenAI]:
    """OpenAI's client, given nothing but the address and the function key."""
    stack = live_stack.stack
    with (
        httpx.Client(trust_env=False, timeout=60) as http,
        openai.OpenAI(
            base_url=f"{stack.functions_url}/api/v1",
            api_key=stack.function_key,
            http_client=http,
            max_retries=0,
        ) as made,
    ):
        yield made


def greedy(client: openai.OpenAI, model: str = DATASET, **parameters: Any) -> str:
    """The model's one answer without chance."""
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, temperature=0, max_tokens=40, **parameters
    )
    return answer.choices[0].message.content or ""


def test_a_conversation(client: openai.OpenAI, live_stack: LiveStack) -> None:
    """By the dataset's name or the endpoint's: the same model, which says who it is, and counts."""
    answer = client.chat.completions.create(model=DATASET, messages=QUESTION, temperature=0, max_tokens=40)
    assert answer.choices[0].message.content == greedy(client, live_stack.run_id)
    assert len(answer.choices[0].message.content or "") > 2
    assert (answer.model, answer.object) == (live_stack.run_id, "chat.completion")
    assert answer.usage is not None
    assert (answer.usage.completion_tokens == 40) is (answer.choices[0].finish_reason == "length")


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    """Its pieces put together are the whole answer."""
    events = client.chat.completions.create(
        model=DATASET, messages=QUESTION, temperature=0, max_tokens=40, stream=True
    )
    choices = [event.choices[0] for event in events]
    assert "".join(choice.delta.content or "" for choice in choices) == greedy(client)
    assert choices[0].delta.role == "assistant"
    assert choices[-1].finish_reason in {"stop", "length"}


async def test_the_async_client(live_stack: LiveStack) -> None:
    """Whole and as a stream."""
    stack = live_stack.stack
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
        openai.AsyncOpenAI(
            base_url=f"{stack.functions_url}/api/v1", api_key=stack.function_key, http_client=http
        ) as client,
    ):
        asked: Any = {"model": DATASET, "messages": QUESTION, "temperature": 0, "max_tokens": 40}
        whole = await client.chat.completions.create(**asked)
        pieces = [
            event.choices[0].delta.content or ""
            async for event in await client.chat.completions.create(**asked, stream=True)
        ]
        assert "".join(pieces) == whole.choices[0].message.content


def test_the_reply_ends_at_a_stop(client: openai.OpenAI) -> None:
    """The stop is not part of it."""
    whole = greedy(client)
    stop = whole.split()[2]
    assert greedy(client, stop=stop) == whole[: whole.index(stop)]


def test_what_is_not_offered_is_an_error_that_the_client_knows(client: openai.OpenAI) -> None:
    """Its other routes are 404 in OpenAI's form."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.completions.create(model=DATASET, prompt="Bread")
    assert caught.value.code == "unknown_url"
    with pytest.raises(openai.NotFoundError, match="chat/completions"):
        client.embeddings.create(model=DATASET, input="Bread")


def test_models(client: openai.OpenAI, live_stack: LiveStack) -> None:
    """The dataset and its endpoint are both listed, and each can be asked for."""
    assert {DATASET, live_stack.run_id} <= {model.id for model in client.models.list()}
    assert client.models.retrieve(DATASET).owned_by == "finetune-on-upload"


@pytest.mark.parametrize(
    ("parameters", "error", "param"),
    [
        ({"model": "nonsense"}, openai.NotFoundError, "model"),
        ({"n": 2}, openai.BadRequestError, "n"),
        ({"temperature": 5}, openai.BadRequestError, "temperature"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"extra_body": {"top_k": 5}}, openai.BadRequestError, "top_k"),
    ],
)
def test_errors_are_the_clients_own(
    client: openai.OpenAI, parameters: Any, error: type[openai.APIStatusError], param: str
) -> None:
    """The client raises what it raises for OpenAI, and the error names the parameter."""
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{"model": DATASET, "messages": QUESTION} | parameters)
    assert caught.value.param == param


@pytest.mark.parametrize("header", ["x-functions-key", "api-key", "authorization"])
def test_the_key_is_taken_in_any_header(live_stack: LiveStack, header: str) -> None:
    """And without it, or with another, nothing is answered."""
    stack = live_stack.stack
    prefix = "Bearer " if header == "authorization" else ""
    with httpx.Client(base_url=f"{stack.functions_url}/api/v1", trust_env=False, timeout=60) as http:
        assert http.get("/models", headers={header: prefix + stack.function_key}).status_code == 200
        for wrong in (prefix + "wrong", prefix.strip(), ""):
            assert http.get("/models", headers={header: wrong}).status_code == 401
        assert http.get("/models").json()["error"]["code"] == "invalid_api_key"


def test_langchain(live_stack: LiveStack) -> None:
    """Whole and as a stream, as a chain would call it."""
    from langchain_openai import ChatOpenAI

    stack = live_stack.stack
    with httpx.Client(trust_env=False, timeout=60) as http:
        model = ChatOpenAI(
            base_url=f"{stack.functions_url}/api/v1",
            api_key=stack.function_key,  # type: ignore[arg-type]
            model=DATASET,
            temperature=0,
            max_tokens=40,  # type: ignore[call-arg]
            http_client=http,
        )
        whole = model.invoke([("system", "Be brief."), ("human", "How do I keep bread fresh?")])
        assert len(str(whole.content)) > 2
        pieces = model.stream([("system", "Be brief."), ("human", "How do I keep bread fresh?")])
        assert "".join(str(piece.content) for piece in pieces) == whole.content
