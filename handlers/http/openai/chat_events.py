"""Stream a reply as server-sent events in OpenAI's format."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from handlers.http.openai.errors import openai_error
from handlers.http.responses import Response
from shared.app import App
from shared.domain.serving.chat import Chat
from shared.domain.serving.openai_stream import DONE, ChunkWriter, Piece
from shared.ports import ScoringTarget
from shared.serving.chat_stream import stream

EVENT_STREAM = "text/event-stream; charset=utf-8"
HEADERS = {
    # Between here and the caller, nginx and its like would keep events until they have a page full of them.
    "X-Accel-Buffering": "no",
}


async def stream_reply(
    chat: Chat, target: ScoringTarget, app: App, writer: ChunkWriter, *, include_usage: bool
) -> Response:
    """Ask for a reply, and answer once its first piece is there: until then, an error is one like any other.

    Later it is an event. When the caller leaves, the request to the endpoint ends.

    Raises:
        RequestError: 400 for what the model's server cannot honour.
        ScoringError: For what the endpoint answers instead of a reply.
    """
    pieces = _pieces(chat, target, app, include_usage=include_usage)
    events = _events(await anext(pieces), pieces, writer, include_usage=include_usage)
    return Response(200, events, EVENT_STREAM, HEADERS)


async def _pieces(
    chat: Chat, target: ScoringTarget, app: App, *, include_usage: bool
) -> AsyncGenerator[Piece, None]:
    """Yield the reply; the request occupies the endpoint until it ends or the client disconnects."""
    asked = stream(chat, target, app.services, usage=include_usage)
    async with app.admission.admit(target), aclosing(asked) as pieces:
        async for piece in pieces:
            yield piece


async def _events(
    first: Piece, rest: AsyncGenerator[Piece, None], writer: ChunkWriter, *, include_usage: bool
) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        try:
            yield writer.opening() + writer.piece(first)
            usage = first.usage
            async for piece in rest:
                usage = piece.usage or usage
                if chunk := writer.piece(piece):
                    yield chunk
        except Exception as fault:  # the edge: the status is sent, so that an event has to say it
            yield b"data: " + _body(openai_error(fault)) + b"\n\n"
            return
        if include_usage and usage:
            yield writer.usage(usage)
        yield DONE


def _body(answered: Response) -> bytes:
    assert isinstance(answered.body, bytes)
    return answered.body
