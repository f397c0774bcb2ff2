"""`POST /api/v1/chat/completions`: a live endpoint for any OpenAI client."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from handlers.http.auth import check_key
from handlers.http.openai.errors import openai_error
from handlers.http.requests import Request, read_object
from handlers.http.responses import Response, json_response
from shared.app import App
from shared.domain.errors import ScoringError
from shared.domain.serving.openai_chat import Completion, read_completion
from shared.domain.serving.openai_reply import completion_of
from shared.domain.serving.openai_stream import DONE, ChunkWriter, Piece
from shared.ports import ScoringTarget
from shared.serving.chat import complete
from shared.serving.chat_stream import stream

EVENT_STREAM = "text/event-stream; charset=utf-8"
STREAM_HEADERS = {
    # Between here and the caller, nginx and its like would keep events until they have a page full of them.
    "X-Accel-Buffering": "no",
}


async def complete_chat(request: Request, app: App) -> Response:
    """Answer a conversation, whole or as it is generated.

    The status of a stream is that of its first piece: until then, an error is an answer like any other. Later
    it is an event.

    Raises:
        OpenAIRequestError: 400 for a parameter that cannot be honoured.
        RequestError: 401 without an accepted key, 503 if there are none, 404 for a model that is not live,
            413 for a large body.
        ScoringError: For what the endpoint answers instead of a reply, or 502 if there is no text in it.
    """
    check_key(request.headers, app.settings.accepted_keys)
    completion = read_completion(read_object(request.body))
    target = await app.directory.resolve_model(completion.model)
    writer = ChunkWriter(f"chatcmpl-{uuid.uuid4().hex}", target.name, int(app.services.now().timestamp()))
    try:
        if completion.stream:
            pieces = _pieces(target, completion, app)
            events = _events(await anext(pieces), pieces, writer, completion)
            return Response(200, events, EVENT_STREAM, STREAM_HEADERS)
        async with app.admission.admit(target):
            reply = await complete(completion.chat, target, app.services)
    except ScoringError as fault:
        if fault.status == 503:
            app.directory.forget(target.name)
        raise
    return json_response(200, completion_of(reply, **writer._asdict()))


async def _pieces(target: ScoringTarget, completion: Completion, app: App) -> AsyncGenerator[Piece, None]:
    """The reply; its turn on the endpoint lasts until it ends, or is not wanted any longer."""
    asked = stream(completion.chat, target, app.services, usage=completion.include_usage)
    async with app.admission.admit(target), aclosing(asked) as pieces:
        async for piece in pieces:
            yield piece


async def _events(
    first: Piece, rest: AsyncGenerator[Piece, None], writer: ChunkWriter, completion: Completion
) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        try:
            yield writer.opening() + writer.piece(first)
            usage = first.usage
            async for piece in rest:
                usage = piece.usage or usage
                if chunk := writer.piece(piece):
                    yield chunk
        except (
            Exception
        ) as fault:  # the edge: the status is sent, and what is left to say it with is an event
            yield b"data: " + _body(openai_error(fault)) + b"\n\n"
            return
        if completion.include_usage and usage:
            yield writer.usage(usage)
        yield DONE


def _body(answered: Response) -> bytes:
    assert isinstance(answered.body, bytes)
    return answered.body
