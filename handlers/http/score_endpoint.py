"""`POST /api/endpoints/{endpoint}/score`: a caller's request, translated for the endpoint's server."""

from __future__ import annotations

from handlers.http.openai.chat_events import stream_reply
from handlers.http.requests import Request, read_object
from handlers.http.responses import Response, json_response
from shared.app import App
from shared.domain.errors import ScoringError
from shared.domain.serving.chat import Chat, Reply
from shared.domain.serving.openai_stream import chunk_writer
from shared.domain.serving.score_payload import read_score_request
from shared.ports import ScoringTarget
from shared.serving.chat import complete


async def score_endpoint(request: Request, app: App) -> Response:
    """Score on a live endpoint.

    The body is Azure ML's own payload (`input_data` with `input_string` and `parameters`), answered in Azure
    ML's form, or `{"messages": […], …}` where every other key is a generation parameter.

    Raises:
        RequestError: For a body or an endpoint that cannot be scored.
        ScoringError: For what the endpoint answers instead of a reply.
    """
    endpoint = request.path["endpoint"]
    asked = read_score_request(read_object(request.body))
    target = await app.directory.resolve(endpoint)
    try:
        if asked.stream:
            (chat,) = asked.chats
            writer = chunk_writer(target.name, app.services.now())
            return await stream_reply(chat, target, app, writer, include_usage=True)
        replies = [await _reply(chat, target, app) for chat in asked.chats]
    except ScoringError as fault:
        if fault.status == 503 and fault.code != "ModelUnavailable":
            # The endpoint may be gone since it was looked up: then that is the answer.
            app.directory.forget(endpoint)
            await app.directory.resolve(endpoint)
        raise
    return json_response(200, asked.answer(replies))


async def _reply(chat: Chat, target: ScoringTarget, app: App) -> Reply:
    async with app.admission.admit(target):
        return await complete(chat, target, app.services)
