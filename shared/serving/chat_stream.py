"""A reply of a live model in pieces, as they are generated where its server can, and otherwise as one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from shared.domain.errors import ScoringError
from shared.domain.serving.chat import Chat
from shared.domain.serving.dialects import upstream_request
from shared.domain.serving.event_stream import EventStreamParser, EventTooLongError
from shared.domain.serving.openai_stream import Piece, read_piece
from shared.domain.serving.record import Dialect
from shared.ports import ScoringTarget, Services
from shared.serving.chat import complete

_END = b"[DONE]"


async def stream(
    chat: Chat, target: ScoringTarget, services: Services, *, usage: bool
) -> AsyncGenerator[Piece, None]:
    """Ask for a reply piece by piece. Closing the iterator ends the request, and so the generation.

    Args:
        chat: What is asked.
        target: Who is asked.
        services: The ports.
        usage: Whether the count of tokens is wanted at the end, where the server can give it.

    Raises:
        RequestError: 400 for what the model's server cannot honour.
        ScoringError: For what the endpoint answers instead of a reply, or in the middle of one.
    """
    route = target.serving.route
    if route.dialect is not Dialect.OPENAI:
        reply = await complete(chat, target, services)
        yield Piece(reply.text, reply.finish_reason)
        yield Piece(usage=reply.usage)
        return
    request = upstream_request(route, chat, stream=True, usage=usage)
    finished = False
    async with aclosing(services.scoring.stream(target, request)) as chunks:
        async for data in _events(chunks):
            if data == _END:
                break
            piece = read_piece(data)
            finished = finished or piece.finish_reason is not None
            yield piece
    if not finished:
        raise ScoringError(502, "the model's reply broke off", code="StreamBroken", upstream_status=200)


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    parser = EventStreamParser()
    async for chunk in chunks:
        try:
            found = parser.feed(chunk)
        except EventTooLongError as fault:
            raise ScoringError(502, f"the model's stream: {fault}", code="InvalidResponse") from fault
        for data in found:
            yield data
