"""Stream a reply from a live model; a server that cannot stream sends it in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from shared.domain.errors import ScoringError
from shared.domain.serving.chat import Chat
from shared.domain.serving.deployment import REQUEST_SECONDS
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
        raise ScoringError(
            502,
            "the model's server closed the stream before the reply was complete",
            code="StreamBroken",
            upstream_status=200,
        )


async def _events(
    chunks: AsyncIterator[bytes], patience_seconds: float = REQUEST_SECONDS
) -> AsyncIterator[bytes]:
    parser = EventStreamParser()
    while True:
        try:
            # Comments that keep a connection open are no reply: they hold no turn for ever.
            async with asyncio.timeout(patience_seconds):
                found = await _next_events(chunks, parser)
        except EventTooLongError as fault:
            raise ScoringError(502, f"the model's stream: {fault}", code="InvalidResponse") from fault
        except TimeoutError as fault:
            message = f"the model's server sent no part of the reply for {patience_seconds:g} s"
            raise ScoringError(504, message, code="EndpointTimeout", upstream_status=200) from fault
        if found is None:
            return
        for data in found:
            yield data


async def _next_events(chunks: AsyncIterator[bytes], parser: EventStreamParser) -> list[bytes] | None:
    """The events that the next chunks complete; None at the end."""
    async for chunk in chunks:
        if found := parser.feed(chunk):
            return found
    return None
