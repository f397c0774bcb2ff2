"""`POST /api/v1/chat/completions`: chat with a live model from any OpenAI client."""

from __future__ import annotations

import time

from handlers.http.auth import check_key
from handlers.http.openai.chat_events import stream_reply
from handlers.http.requests import Request, read_object
from handlers.http.responses import Response, json_response
from shared.app import App
from shared.domain.errors import ScoringError
from shared.domain.serving.openai_chat import read_completion
from shared.domain.serving.openai_reply import completion_of
from shared.domain.serving.openai_stream import chunk_writer
from shared.serving.chat import complete


async def complete_chat(request: Request, app: App) -> Response:
    """Answer a conversation, whole or as it is generated.

    Raises:
        OpenAIRequestError: 400 for a parameter that cannot be honoured.
        RequestError: 401 without an accepted key, 503 if there are none, 404 for a model that is not live,
            413 for a large body.
        ScoringError: For what the endpoint answers instead of a reply, or 502 if there is no text in it.
    """
    check_key(request.headers, app.settings.accepted_keys)
    completion = read_completion(read_object(request.body))
    target = await app.directory.resolve_model(completion.model)
    writer = chunk_writer(target.name, app.services.now())
    began, failed = time.monotonic(), False
    try:
        if completion.stream:
            return await stream_reply(
                completion.chat, target, app, writer, include_usage=completion.include_usage
            )
        async with app.admission.admit(target):
            reply = await complete(completion.chat, target, app.services)
    except ScoringError as fault:
        failed = fault.status >= 500
        if fault.status == 503 and fault.code != "ModelUnavailable":
            app.directory.forget(target.name)
        raise
    finally:
        seconds = time.monotonic() - began
        await app.canaries.note(completion.model, target.name, failed=failed, seconds=seconds)
    return json_response(200, completion_of(reply, **writer._asdict()))
