"""`POST /api/v1/chat/completions`: a live endpoint for any OpenAI client."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from handlers.http.auth import check_key
from handlers.http.responses import Response, json_response, read_object
from shared.domain.errors import RequestError, ScoringError, UnknownRunError
from shared.domain.serving.chat_payload import chat_payload, reply_of
from shared.domain.serving.openai_chat import Completion, read_completion
from shared.domain.serving.openai_reply import Reply, completion_of, end_at, events_of
from shared.ports import Services
from shared.serving.live_endpoints import LiveEndpoints
from shared.serving.live_models import LiveModels

EVENT_STREAM = "text/event-stream; charset=utf-8"


async def complete_chat(
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Iterable[str],
    models: LiveModels,
    live: LiveEndpoints,
    services: Services,
) -> Response:
    """Answer a conversation.

    A stream is answered as a whole once the reply is there: the endpoint gives it in one piece, and the
    Functions worker sends bodies in one.

    Args:
        headers: The request's, with the key.
        body: OpenAI's request.
        keys: The accepted keys.
        models: Which models there are.
        live: What is known of endpoints.
        services: The ports.

    Raises:
        OpenAIRequestError: 400 for a parameter that cannot be honoured.
        RequestError: 401 without an accepted key, 404 for a model that is not live, 413 for a large body.
        ScoringError: For what the endpoint answers instead of a reply, or 502 if there is no text in it.
    """
    check_key(headers, keys)
    completion = read_completion(read_object(body))
    endpoint, answer = await _score(completion, models, live, services)
    reply = _reply(answer, completion)
    facts: dict[str, Any] = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "model": endpoint,
        "created": int(services.now().timestamp()),
    }
    if not completion.stream:
        return json_response(200, completion_of(reply, **facts))
    events = events_of(reply, include_usage=completion.include_usage, **facts)
    return Response(200, events, EVENT_STREAM, {"Cache-Control": "no-cache"})


async def _score(
    completion: Completion, models: LiveModels, live: LiveEndpoints, services: Services
) -> tuple[str, Any]:
    endpoint = await models.endpoint_of(completion.model)
    try:
        target = await live.target(endpoint)
    except (RequestError, UnknownRunError):
        # It was live a minute ago; another run of the dataset may have taken its place.
        models.forget()
        endpoint = await models.endpoint_of(completion.model)
        target = await live.target(endpoint)
    payload = chat_payload(completion.messages, completion.parameters)
    try:
        return endpoint, await services.scoring.score_async(target, payload)
    except ScoringError as fault:
        if fault.status == 503:
            live.forget(endpoint)
            models.forget()
        raise


def _reply(answer: Any, completion: Completion) -> Reply:
    whole = reply_of(answer)
    if whole is None:
        raise ScoringError(502, "the model's answer has no text", code="InvalidResponse")
    text = end_at(whole, completion.stops)
    stated = answer if isinstance(answer, Mapping) else {}
    usage = stated.get("usage")
    choices = stated.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    reason = first.get("finish_reason") if isinstance(first, Mapping) else None
    return Reply(
        text=text,
        finish_reason=reason if isinstance(reason, str) and text == whole else "stop",
        usage=usage if isinstance(usage, Mapping) else None,
    )
