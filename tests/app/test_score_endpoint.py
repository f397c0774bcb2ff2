"""Scoring: both payloads, who is live, and how often that is asked."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.http.requests import Request
from handlers.http.score_endpoint import score_endpoint
from shared.app import App
from shared.domain.errors import RequestError, ScoringError, UnknownRunError
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.chat import DEFAULT_REPLY_TOKENS
from shared.domain.serving.score_payload import read_score_request
from shared.workflow.save_progress import update_run
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.edge import app_of, respond_async
from tests.app.fakes import World
from tests.app.worlds import SETTINGS

MESSAGES = [{"role": "user", "content": "Hello?"}]


def live(**changes: Any) -> tuple[World, App]:
    """A world with one run, live unless something else is said."""
    world = World()
    world.runs.create(a_run(changes.pop("stage", Stage.LIVE), **changes))
    return world, app_of(world, SETTINGS)


def asking(body: bytes, endpoint: str = RUN_ID) -> Request:
    """A request to score."""
    return Request("", {"endpoint": endpoint}, {}, {}, body)


async def score(app: App, body: Any, endpoint: str = RUN_ID) -> Any:
    """Score once and decode the answer."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    answered = await score_endpoint(asking(encoded, endpoint), app)
    assert answered.status == 200
    return json.loads(answered.body)


async def test_messages_are_put_as_the_model_takes_them() -> None:
    """Everything beside `messages` is a generation parameter; the answer says what is known of the reply."""
    world, app = live()
    reply = await score(app, {"messages": MESSAGES, "max_new_tokens": 5, "temperature": 0.1})
    assert reply == {"output": "Hello!", "finish_reason": "stop"}
    ((target, payload, deployment),) = world.cloud.scored
    parameters = {"max_new_tokens": 5, "do_sample": True, "temperature": 0.1}
    assert payload == {"input_data": {"input_string": [MESSAGES], "parameters": parameters}}
    assert (target.name, target.auth_mode, deployment) == (RUN_ID, "aad_token", None)


@pytest.mark.parametrize("conversations", [MESSAGES, [MESSAGES], [MESSAGES, MESSAGES]])
async def test_azure_mls_own_payload_is_answered_in_its_form(conversations: Any) -> None:
    """One conversation or several, each asked by itself."""
    world, app = live()
    count = len(conversations) if isinstance(conversations[0], list) else 1
    body = {"input_data": {"input_string": conversations, "parameters": {"top_p": 1}}, "params": {}}
    assert await score(app, body) == [{"0": "Hello!"}] * count
    parameters = {"max_new_tokens": DEFAULT_REPLY_TOKENS, "do_sample": True, "top_p": 1.0}
    sent = {"input_data": {"input_string": [MESSAGES], "parameters": parameters}}
    assert [payload for _, payload, _ in world.cloud.scored] == [sent] * count


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
    world, app = live()
    with pytest.raises(RequestError) as caught:
        await score(app, body)
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
        asked = read_score_request(body)
    except RequestError as fault:
        assert fault.status == 400
    else:
        assert asked.chats


@pytest.mark.parametrize("stage", [Stage.RECEIVED, Stage.DEPLOYING, Stage.LIVE, Stage.DELETING, Stage.FAILED])
async def test_only_a_live_endpoint_is_scored(stage: Stage) -> None:
    """409 before, 410 after, and the endpoint is not asked in either case."""
    world, app = live(stage=stage)
    if stage is Stage.LIVE:
        await score(app, {"messages": MESSAGES})
        return
    with pytest.raises(RequestError) as caught:
        await score(app, {"messages": MESSAGES})
    assert caught.value.status == (409 if stage.before_live else 410)
    assert world.cloud.scored == []


@pytest.mark.parametrize("endpoint", ["ft-nobody-0123456789", "../x"])
async def test_an_unknown_endpoint_is_404(endpoint: str) -> None:
    """No name reaches storage or an address unchecked."""
    _world, app = live()
    with pytest.raises(UnknownRunError):
        await score(app, {"messages": MESSAGES}, endpoint)


async def test_use_is_recorded_at_most_once_a_minute() -> None:
    """However many requests come, the record is read and written once a minute."""
    world, app = live()
    writes: list[Run] = []
    world.runs.before_write = lambda: writes.append(world.runs.load(RUN_ID).run)
    for second in range(0, 120, 10):
        world.now = NOW + timedelta(seconds=second)
        await score(app, {"messages": MESSAGES})
    assert len(writes) == 2
    assert world.runs.load(RUN_ID).run.last_used == NOW + timedelta(seconds=60)
    another = app_of(world, SETTINGS)
    world.now = NOW + timedelta(seconds=90)
    await score(another, {"messages": MESSAGES})
    assert len(writes) == 2, "another worker's record counts too"


async def test_an_endpoint_in_use_does_not_idle_away() -> None:
    """Its idle limit counts from its last use."""
    world, app = live()
    world.now = NOW + timedelta(minutes=59)
    await score(app, {"messages": MESSAGES})
    assert world.runs.load(RUN_ID).run.idle_at == NOW + timedelta(minutes=119)


async def test_an_endpoint_that_fails_to_answer_is_looked_up_again() -> None:
    """A cached endpoint that was deleted meanwhile is not asked for the rest of the minute."""
    world, app = live()
    await score(app, {"messages": MESSAGES})
    update_run(world.runs, RUN_ID, lambda run: a_run(Stage.DELETED))
    world.cloud.faults["score"] = [ScoringError(503, "away", code="EndpointUnreachable")]
    with pytest.raises(RequestError) as caught:
        await score(app, {"messages": MESSAGES})
    assert caught.value.status == 410


async def test_a_deeply_nested_payload_is_no_error_of_the_server() -> None:
    """Just within what can be decoded must also be within what can be sent on."""
    for depth in (100, 500, 900, 950, 990, 2000):
        nested = b"[" * depth + b"]" * depth
        world, app = live()
        world.cloud.answers = lambda payload: [{"0": json.dumps(payload)[:1]}]
        body = b'{"messages":[{"role":"user","content":"x"}],"deep":' + nested + b"}"
        answered = await respond_async(lambda: score_endpoint(asking(body), app))  # noqa: B023
        assert answered.status in {200, 400}
