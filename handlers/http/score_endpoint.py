"""`POST /api/endpoints/{endpoint}/score`: a caller's request, straight through to the live endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from handlers.http.responses import Response, json_response, read_object
from shared.domain.errors import FinetuneError, RequestError, ScoringError
from shared.domain.serving.chat_payload import chat_payload
from shared.ports import Services
from shared.serving.live_endpoints import LiveEndpoints


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


async def score_endpoint(endpoint: str, body: bytes, live: LiveEndpoints, services: Services) -> Response:
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
        return json_response(200, await services.scoring.score_async(target, payload))
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


def _malformed(message: str) -> FinetuneError:
    return RequestError(400, message, code="MalformedRequest")
