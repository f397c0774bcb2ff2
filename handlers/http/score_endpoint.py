"""`POST /api/endpoints/{endpoint}/score`: a caller's request, straight through to the live endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from handlers.http.requests import Request, read_object
from handlers.http.responses import Response, json_response
from shared.app import App
from shared.domain.errors import FinetuneError, RequestError, ScoringError
from shared.domain.serving.chat_payload import chat_payload


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


async def score_endpoint(request: Request, app: App) -> Response:
    """Score on a live endpoint and pass its answer on.

    The body is Azure ML's own payload (`input_data` with `input_string` and `parameters`, `params`), or
    `{"messages": […], …}` where every other key is a generation parameter.

    Raises:
        RequestError: For a body or an endpoint that cannot be scored.
        ScoringError: For what the endpoint answers instead of a reply.
    """
    endpoint = request.path["endpoint"]
    payload = read_payload(read_object(request.body))
    target = await app.directory.resolve(endpoint)
    try:
        return json_response(200, await app.services.scoring.score_async(target, payload))
    except ScoringError as fault:
        if fault.status == 503:
            # The endpoint may be gone since it was looked up: then that is the answer.
            app.directory.forget(endpoint)
            await app.directory.resolve(endpoint)
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
