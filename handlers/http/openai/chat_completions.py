"""`POST /api/v1/chat/completions`: a live endpoint for any OpenAI client."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from handlers.http.auth import check_key
from handlers.http.requests import Request, read_object
from handlers.http.responses import Response, json_response
from shared.app import App
from shared.domain.errors import ScoringError
from shared.domain.serving.chat_payload import chat_payload, reply_of
from shared.domain.serving.openai_chat import Completion, read_completion
from shared.domain.serving.openai_reply import Reply, completion_of, end_at, events_of
from shared.ports import ScoringTarget

EVENT_STREAM = "text/event-stream; charset=utf-8"


async def complete_chat(request: Request, app: App) -> Response:
    """Answer a conversation.

    A stream is answered as a whole once the reply is there: the endpoint gives it in one piece, and the
    Functions worker sends bodies in one.

    Raises:
        OpenAIRequestError: 400 for a parameter that cannot be honoured.
        RequestError: 401 without an accepted key, 503 if there are none, 404 for a model that is not live,
            413 for a large body.
        ScoringError: For what the endpoint answers instead of a reply, or 502 if there is no text in it.
    """
    check_key(request.headers, app.settings.accepted_keys)
    completion = read_completion(read_object(request.body))
    target = await app.directory.resolve_model(completion.model)
    reply = _reply(await _score(target, completion, app), completion)
    facts: dict[str, Any] = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "model": target.name,
        "created": int(app.services.now().timestamp()),
    }
    if not completion.stream:
        return json_response(200, completion_of(reply, **facts))
    events = events_of(reply, include_usage=completion.include_usage, **facts)
    return Response(200, events, EVENT_STREAM)


async def _score(target: ScoringTarget, completion: Completion, app: App) -> Any:
    payload = chat_payload(completion.messages, completion.parameters)
    try:
        return await app.services.scoring.score_async(target, payload)
    except ScoringError as fault:
        if fault.status == 503:
            app.directory.forget(target.name)
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
