"""`POST /api/endpoints/{endpoint}/score`: a caller's request, straight through to the live endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from handlers.chat_payload import chat_payload
from handlers.http import Answer, json_answer, read_object
from shared.domain.errors import FinetuneError, RequestError, ScoringError
from shared.domain.run import Run
from shared.domain.stages import Stage
from shared.ports import ScoringTarget, Services

LOOK_AGAIN = timedelta(minutes=1)
"""How long an endpoint is taken to be live without asking, and how often its use is recorded at most."""


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, msgspec.Meta(min_length=1)]


class ScoreMessages(msgspec.Struct, frozen=True):
    """The short form: a conversation; every other key is a generation parameter, e.g. `max_new_tokens`."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]


class ScoreInput(msgspec.Struct, frozen=True):
    """What Azure ML's chat models take."""

    input_string: Annotated[
        list[Any], msgspec.Meta(min_length=1, description="A conversation, or a list of them.")
    ]


class ScorePayload(msgspec.Struct, frozen=True):
    """Azure ML's own form, passed on as it is."""

    input_data: ScoreInput


class _Known(NamedTuple):
    target: ScoringTarget
    until: datetime


class LiveEndpoints:
    """Which endpoints are live, as of at most a minute ago. Asking records that one is in use."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[str, _Known] = {}

    async def target(self, endpoint: str) -> ScoringTarget:
        """Find where to score.

        Raises:
            UnknownRunError: If there is no such endpoint.
            RequestError: 409 if it is not live yet, 410 if it was deleted.
        """
        known = self._known.get(endpoint)
        if known is None or known.until <= self._services.now():
            known = await asyncio.to_thread(self._learn, endpoint)
        return known.target

    def forget(self, endpoint: str) -> None:
        """Ask again next time: the endpoint did not behave as if it were live."""
        self._known.pop(endpoint, None)

    def _learn(self, endpoint: str) -> _Known:
        self._known.pop(endpoint, None)
        now = self._services.now()

        def use(run: Run) -> Run:
            _must_be_live(run)
            if run.last_used is not None and now - run.last_used < LOOK_AGAIN:
                return run
            return msgspec.structs.replace(run, last_used=now)

        run = self._services.runs.update(endpoint, use)
        assert run.endpoint is not None
        target = ScoringTarget(endpoint, run.endpoint.scoring_uri, run.endpoint.auth_mode)
        self._known[endpoint] = _Known(target, now + LOOK_AGAIN)
        return self._known[endpoint]


async def score_endpoint(endpoint: str, body: bytes, live: LiveEndpoints, services: Services) -> Answer:
    """Score on a live endpoint and pass its answer on.

    Args:
        endpoint: The endpoint's name.
        body: Azure ML's own payload (`input_data` with `input_string` and `parameters`, `params`), or
            `{"messages": […], …}` where every other key is a generation parameter.
        live: What is known of endpoints.
        services: The ports.

    Raises:
        RequestError: For a body or an endpoint that cannot be scored.
        ScoringError: For what the endpoint answers instead of a reply.
    """
    payload = read_payload(read_object(body))
    target = await live.target(endpoint)
    try:
        return json_answer(200, await services.scoring.score_async(target, payload))
    except ScoringError as fault:
        if fault.status == 503:
            # It may be gone since it was looked at: then that is the answer.
            live.forget(endpoint)
            await live.target(endpoint)
        raise


def read_payload(request: dict[str, Any]) -> Mapping[str, Any]:
    """Turn either form of request into Azure ML's.

    Raises:
        RequestError: 400, naming what is missing or wrong.
    """
    if "input_data" in request:
        try:
            msgspec.convert(request, ScorePayload)
        except msgspec.ValidationError as fault:
            message = "input_data must be an object whose input_string is a list of messages"
            raise _malformed(f"{message}: {fault}") from fault
        return request
    if "messages" not in request:
        raise _malformed("the body must have either messages or input_data")
    try:
        messages = msgspec.convert(request, ScoreMessages).messages
    except msgspec.ValidationError as fault:
        raise _malformed(f"messages: {fault}") from fault
    parameters = {name: value for name, value in request.items() if name != "messages"}
    return chat_payload([msgspec.structs.asdict(message) for message in messages], parameters)


def _must_be_live(run: Run) -> None:
    if run.stage is Stage.LIVE and run.endpoint is not None:
        return
    if run.stage.before_live:
        raise RequestError(409, f"{run.run_id} is not live yet: its run is {run.stage}", code="NotLiveYet")
    raise RequestError(410, f"{run.run_id} is gone: its run is {run.stage}", code="EndpointGone")


def _malformed(message: str) -> FinetuneError:
    return RequestError(400, message, code="MalformedRequest")
