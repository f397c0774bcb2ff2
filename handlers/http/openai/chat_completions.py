"""`POST /api/v1/chat/completions`: a live endpoint for any OpenAI client."""

from __future__ import annotations

import uuid
from typing import Any

from handlers.http.auth import check_key
from handlers.http.requests import Request, read_object
from handlers.http.responses import Response, json_response
from shared.app import App
from shared.domain.errors import ScoringError
from shared.domain.serving.chat import Reply
from shared.domain.serving.openai_chat import Completion, read_completion
from shared.domain.serving.openai_reply import completion_of, events_of
from shared.ports import ScoringTarget
from shared.serving.chat import complete

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
    reply = await _reply(target, completion, app)
    facts: dict[str, Any] = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "model": target.name,
        "created": int(app.services.now().timestamp()),
    }
    if not completion.stream:
        return json_response(200, completion_of(reply, **facts))
    events = events_of(reply, include_usage=completion.include_usage, **facts)
    return Response(200, events, EVENT_STREAM)


async def _reply(target: ScoringTarget, completion: Completion, app: App) -> Reply:
    try:
        return await complete(completion.chat, target, app.services)
    except ScoringError as fault:
        if fault.status == 503:
            app.directory.forget(target.name)
        raise
