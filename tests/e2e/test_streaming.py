"""A tuned model's reply, streamed to OpenAI's client through Microsoft's runtime, as it is generated."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import httpx
import openai
import pytest
from azureml_emulator import INSTANT

from local.processes import wait_until
from tests.live_stack import DATASET, LiveStack

SECONDS = 60.0
TOKEN_SECONDS = 0.2
QUESTION: list[Any] = [{"role": "user", "content": "How do I keep bread fresh?"}]
CONCURRENCY = 8
"""What SERVING_CONCURRENCY is by default."""


class Model:
    """The live model: its words take a while, and how many replies it is at can be asked."""

    def __init__(self, live_stack: LiveStack, azureml: httpx.Client) -> None:
        self._key = f"{live_stack.run_id}/main"
        self._azureml = azureml

    @property
    def generations(self) -> dict[str, int]:
        """Replies in progress, completed and aborted."""
        counts: dict[str, dict[str, int]] = self._azureml.get("/_emulator/generations").json()
        return counts.get(self._key, {"in_progress": 0, "completed": 0, "aborted": 0})

    def break_off(self, after: int) -> None:
        """Let the next stream break after so many pieces."""
        fault = {"match": {"target": self._key}, "container": {"cut_after": after}, "count": 1}
        self._azureml.post("/_emulator/faults", json=fault).raise_for_status()


@pytest.fixture
def model(live_stack: LiveStack) -> Iterator[Model]:
    """The model, slow for as long as the test takes."""
    trust = ssl.create_default_context(cafile=live_stack.stack.ca_bundle)
    with httpx.Client(base_url=live_stack.stack.azureml_url, verify=trust, trust_env=False) as azureml:
        slow = asdict(replace(INSTANT, name="slow words", token=TOKEN_SECONDS))
        azureml.patch("/_emulator/state", json={"pace": slow}).raise_for_status()
        yield Model(live_stack, azureml)
        azureml.delete("/_emulator/faults").raise_for_status()
        azureml.patch("/_emulator/state", json={"pace": "instant"}).raise_for_status()


@pytest.fixture
def client(live_stack: LiveStack) -> Iterator[openai.OpenAI]:
    """OpenAI's client, given nothing but the address and the function key."""
    stack = live_stack.stack
    with (
        httpx.Client(trust_env=False, timeout=SECONDS, limits=httpx.Limits(max_connections=None)) as http,
        openai.OpenAI(
            base_url=f"{stack.functions_url}/api/v1",
            api_key=stack.function_key,
            http_client=http,
            max_retries=0,
        ) as made,
    ):
        yield made


def begin(client: openai.OpenAI, **parameters: Any) -> Any:
    """A stream that has said its first word."""
    stream = client.chat.completions.create(
        model=DATASET, messages=QUESTION, temperature=0, stream=True, **{"max_tokens": 400} | parameters
    )
    for chunk in stream:
        if chunk.choices[0].delta.content:
            return stream
    raise AssertionError("the stream ended without a word")


def test_the_first_word_is_there_before_the_last_is_generated(client: openai.OpenAI, model: Model) -> None:
    """Piece by piece; put together they are the whole answer, and the usage comes at the end."""
    asked: dict[str, Any] = {"model": DATASET, "messages": QUESTION, "temperature": 0, "max_tokens": 12}
    whole = client.chat.completions.create(**asked)
    completed = model.generations["completed"]
    said, usage = [], None
    stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    for chunk in stream:
        usage = chunk.usage or usage
        if not chunk.choices or not chunk.choices[0].delta.content:
            continue
        if not said:
            assert (model.generations["in_progress"], model.generations["completed"]) == (1, completed)
        said.append(chunk.choices[0].delta.content)
    assert "".join(said) == whole.choices[0].message.content
    assert len(said) > 3
    assert usage is not None
    assert whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_a_client_that_leaves_ends_the_generation(client: openai.OpenAI, model: Model) -> None:
    """Nothing is generated for nobody."""
    aborted = model.generations["aborted"]
    begin(client).close()
    assert wait_until(lambda: model.generations["aborted"] == aborted + 1, SECONDS)
    assert model.generations["in_progress"] == 0


def test_beyond_its_limit_requests_wait_and_are_then_refused(client: openai.OpenAI, model: Model) -> None:
    """429 with a pause after a while in the queue; whoever is in it when a turn is given back gets it."""
    streams = [begin(client) for _ in range(CONCURRENCY)]
    assert model.generations["in_progress"] == CONCURRENCY
    with pytest.raises(openai.RateLimitError) as caught:
        begin(client)
    assert int(caught.value.response.headers["Retry-After"]) >= 1
    streams.pop().close()
    streams.append(begin(client))
    for stream in streams:
        stream.close()
    assert wait_until(lambda: model.generations["in_progress"] == 0, SECONDS)


def test_a_stream_that_breaks_is_an_error_to_the_client(client: openai.OpenAI, model: Model) -> None:
    """And no end of the reply."""
    model.break_off(after=5)
    with pytest.raises(openai.APIError, match="broke off"):
        for _ in begin(client):
            continue
    assert wait_until(lambda: model.generations["in_progress"] == 0, SECONDS)
