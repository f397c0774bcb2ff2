"""Scoring: both payloads, who is live, and how often that is asked."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.http.errors import respond_async
from handlers.http.score_endpoint import read_payload, score_endpoint
from shared.domain.errors import RequestError, ScoringError, UnknownRunError
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.chat_payload import chat_payload, reply_of
from shared.serving.live_endpoints import LiveEndpoints
from shared.workflow.save_progress import update_run
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.fakes import World

MESSAGES = [{"role": "user", "content": "Hello?"}]


def live(**changes: Any) -> tuple[World, LiveEndpoints]:
    """A world with one run, live unless something else is said."""
    world = World()
    world.runs.create(a_run(changes.pop("stage", Stage.LIVE), **changes))
    return world, LiveEndpoints(world.services)


async def score(world: World, known: LiveEndpoints, body: Any, endpoint: str = RUN_ID) -> Any:
    """Score once and decode the answer."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    answered = await score_endpoint(endpoint, encoded, known, world.services)
    assert answered.status == 200
    return json.loads(answered.body)


async def test_messages_are_wrapped_as_the_model_takes_them() -> None:
    """Everything beside `messages` is a generation parameter."""
    world, known = live()
    reply = await score(world, known, {"messages": MESSAGES, "max_new_tokens": 5, "temperature": 0.1})
    assert reply == {"output": "Hello!"}
    ((target, payload, deployment),) = world.cloud.scored
    assert payload == {
        "input_data": {
            "input_string": [MESSAGES],
            "parameters": {"max_new_tokens": 5, "temperature": 0.1},
        },
        "params": {},
    }
    assert (target.name, target.auth_mode, deployment) == (RUN_ID, "aad_token", None)


async def test_azure_mls_own_payload_goes_through_as_it_is() -> None:
    """Nothing is added, nothing taken away."""
    world, known = live()
    body = {"input_data": {"input_string": [MESSAGES], "parameters": {"top_p": 1}}, "params": {"x": [1]}}
    await score(world, known, body)
    assert world.cloud.scored[0][1] == body


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input_data": []},
        {"input_data": {}},
        {"input_data": {"input_string": "Hello?"}},
        {"input_data": {"input_string": []}},
        {"messages": []},
        {"messages": "Hello?"},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": ["x"]}]},
        {"messages": None, "input_data": None},
    ],
)
async def test_a_payload_that_means_nothing_is_400(body: Any) -> None:
    """It is refused before anybody is asked."""
    world, known = live()
    with pytest.raises(RequestError) as caught:
        await score(world, known, body)
    assert caught.value.status == 400
    assert world.cloud.scored == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["messages", "input_data", "params", "temperature"]), values))
def test_any_object_is_a_payload_or_400(body: dict[str, Any]) -> None:
    """Whatever callers nest into it."""
    try:
        payload = read_payload(body)
    except RequestError as fault:
        assert fault.status == 400
    else:
        assert payload["input_data"]["input_string"]


@pytest.mark.parametrize("stage", Stage)
async def test_only_a_live_endpoint_is_scored(stage: Stage) -> None:
    """409 before and while stopped, 410 after, and the endpoint is not asked in either case."""
    world, known = live(stage=stage)
    if stage is Stage.LIVE:
        await score(world, known, {"messages": MESSAGES})
        return
    with pytest.raises(RequestError) as caught:
        await score(world, known, {"messages": MESSAGES})
    assert caught.value.status == (409 if stage.before_live or stage is Stage.STOPPED else 410)
    assert world.cloud.scored == []


@pytest.mark.parametrize("endpoint", ["ft-nobody-0123456789", "..", "../x", "a" * 3000, "\n"])
async def test_an_unknown_endpoint_is_404(endpoint: str) -> None:
    """No name reaches storage or an address unchecked."""
    world, known = live()
    with pytest.raises(UnknownRunError):
        await score(world, known, {"messages": MESSAGES}, endpoint)


async def test_use_is_recorded_at_most_once_a_minute() -> None:
    """However many requests come, the record is read and written once a minute."""
    world, known = live()
    writes: list[Run] = []
    world.runs.before_write = lambda: writes.append(world.runs.load(RUN_ID).run)
    for second in range(0, 120, 10):
        world.now = NOW + timedelta(seconds=second)
        await score(world, known, {"messages": MESSAGES})
    assert len(writes) == 2
    assert world.runs.load(RUN_ID).run.last_used == NOW + timedelta(seconds=60)
    another = LiveEndpoints(world.services)
    world.now = NOW + timedelta(seconds=90)
    await score(world, another, {"messages": MESSAGES})
    assert len(writes) == 2, "another worker's record counts too"


async def test_an_endpoint_in_use_does_not_idle_away() -> None:
    """Its idle limit counts from its last use."""
    world, known = live()
    world.now = NOW + timedelta(minutes=59)
    await score(world, known, {"messages": MESSAGES})
    assert world.runs.load(RUN_ID).run.idle_at == NOW + timedelta(minutes=119)


async def test_an_endpoint_that_fails_to_answer_is_looked_up_again() -> None:
    """A cached endpoint that was deleted meanwhile is not asked for the rest of the minute."""
    world, known = live()
    await score(world, known, {"messages": MESSAGES})
    update_run(world.runs, RUN_ID, lambda run: a_run(Stage.DELETED))
    world.cloud.faults["score"] = [ScoringError(503, "away", code="EndpointUnreachable")]
    with pytest.raises(RequestError) as caught:
        await score(world, known, {"messages": MESSAGES})
    assert caught.value.status == 410


async def test_a_deeply_nested_payload_is_no_error_of_the_server() -> None:
    """Just within what can be decoded must also be within what can be sent on."""
    for depth in (100, 500, 900, 950, 990, 2000):
        nested = b"[" * depth + b"]" * depth
        world, known = live()
        world.cloud.answers = lambda payload: {"output": json.dumps(payload)[:1]}
        body = b'{"messages":[{"role":"user","content":"x"}],"deep":' + nested + b"}"
        answered = await respond_async(lambda: score_endpoint(RUN_ID, body, known, world.services))  # noqa: B023
        assert answered.status in {200, 400}


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ("Hi", "Hi"),
        ({"output": "Hi"}, "Hi"),
        ([{"generated_text": " Hi "}], "Hi"),
        (["Hi", "other"], "Hi"),
        ({"0": "Hi"}, "Hi"),
        ({"predictions": ["Hi"]}, "Hi"),
        ({"prompt": "Hello?", "text": "Hi"}, "Hi"),
        ({"error": "CUDA"}, None),
        ([{"error": "CUDA"}], None),
        ({"id": "abc", "output": ""}, None),
        ({"error_code": "BAD_REQUEST", "message": "no"}, None),
        ({"choices": [{"message": {"role": "assistant", "content": "Hi"}}]}, "Hi"),
        ("", None),
        ("  ", None),
        ([], None),
        ({}, None),
        (None, None),
        (1, None),
        ({"output": None}, None),
        ({"choices": []}, None),
        ({"choices": {"a": 1}}, None),
        ({"choices": 3}, None),
        ({"choices": [None]}, None),
        ({"choices": ["x"]}, "x"),
        ({"choices": [{"message": None}]}, None),
    ],
)
def test_a_reply_is_found_in_every_known_form(answer: Any, reply: str | None) -> None:
    """And nothing is found where there is nothing, without an exception."""
    assert reply_of(answer) == reply


@given(values)
def test_any_answer_has_a_reply_or_none(answer: Any) -> None:
    """A model may answer what it likes."""
    assert reply_of(answer) is None or isinstance(reply_of(answer), str)
    assert chat_payload(MESSAGES, {})["input_data"]["input_string"] == [MESSAGES]
