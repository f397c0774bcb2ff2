"""Server-sent events: the same events, however their bytes are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ScoringError
from shared.domain.serving.event_stream import EVENT_LIMIT_BYTES, EventStreamParser, EventTooLongError
from shared.domain.serving.openai_stream import Piece, read_piece
from shared.serving import chat_stream

STREAM = (
    b": a comment\n\ndata: one\n\nevent: x\r\ndata:two\r\nid: 7\r\n\r\n"
    b"data: three\ndata: lines\n\n\n\ndata\n\rdata: caf\xc3\xa9\r\rdata: [DONE]\n\ndata: cut"
)
EVENTS = [b"one", b"two", b"three\nlines", b"", b"caf\xc3\xa9", b"[DONE]"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_do_not_depend_on_the_chunks(cuts: list[int]) -> None:
    """All kinds of line ends, comments and other fields; an event without its end is none."""
    parser = EventStreamParser()
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [event for start, end in pairwise(edges) for event in parser.feed(STREAM[start:end])]
    assert found == EVENTS


def test_an_event_without_end_is_given_up() -> None:
    """In one line or in many."""
    for piece in (b"x" * 65_536, b"data: " + b"x" * 65_530 + b"\n"):
        parser = EventStreamParser()
        with pytest.raises(EventTooLongError):
            for _ in range(EVENT_LIMIT_BYTES // 65_536 + 1):
                parser.feed(piece)


@pytest.mark.parametrize(
    ("data", "piece"),
    [
        (b'{"choices":[{"delta":{"role":"assistant"},"index":0}]}', Piece()),
        (b'{"choices":[{"delta":{"content":"Hi"}}],"more":1}', Piece("Hi")),
        (b'{"choices":[{"delta":{"content":"!"},"finish_reason":"length"}]}', Piece("!", "length")),
        (b'{"choices":[],"usage":{"total_tokens":3}}', Piece(usage={"total_tokens": 3})),
        (b'{"choices":[{"delta":{}}],"usage":null}', Piece()),
    ],
)
def test_chunks_are_read(data: bytes, piece: Piece) -> None:
    """Text, reason and usage, wherever the server puts them."""
    assert read_piece(data) == piece


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "InvalidResponse"),
        (b"null", "InvalidResponse"),
        (b"<html>", "InvalidResponse"),
        (b"\xff", "InvalidResponse"),
        (b'{"choices":[{}]}', "InvalidResponse"),
        (b'{"choices":[{"delta":{"content":7}}]}', "InvalidResponse"),
        (b'{"error":{"message":"CUDA: hunter2"}}', "ModelError"),
    ],
)
def test_what_is_no_chunk_is_the_models_fault(data: bytes, code: str) -> None:
    """502, without the server's own words."""
    with pytest.raises(ScoringError) as caught:
        read_piece(data)
    assert (caught.value.status, caught.value.code) == (502, code)
    assert "hunter2" not in caught.value.message


async def test_comments_do_not_keep_a_request_for_ever() -> None:
    """A server that only keeps the connection open is given up like one that says nothing."""

    async def comments() -> AsyncIterator[bytes]:
        while True:
            yield b": still here\n\n"
            await asyncio.sleep(0)

    with pytest.raises(ScoringError, match="no part of the reply") as caught:
        async for _ in chat_stream._events(comments(), patience_seconds=0.01):
            pass
    assert caught.value.status == 504
