"""A reply as a stream of OpenAI's chunks, written and read.

Source: OpenAI's API reference, "The chat completion chunk object". A fault in mid-stream is an event with
`error`, as OpenAI's own clients expect it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from shared.domain.errors import ScoringError

DONE = b"data: [DONE]\n\n"


class Piece(NamedTuple):
    """What a model said next.

    Attributes:
        text: To be put behind what it said before.
        finish_reason: Why it ended, with its last piece.
        usage: Counts of tokens if the server gave them, after its last piece; never estimated.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a chunk adds to the reply."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    """The one choice of a chunk."""

    delta: Delta
    finish_reason: str | None = None
    index: int = 0
    logprobs: None = None


class ChatCompletionChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    usage: dict[str, Any] | UnsetType = UNSET


class ChunkWriter(NamedTuple):
    """Writes the events of one reply.

    Attributes:
        id: Of the reply.
        model: Who answers.
        created: Seconds since 1970.
    """

    id: str
    model: str
    created: int

    def opening(self) -> bytes:
        """Who speaks: the first event."""
        return self._event([ChunkChoice(Delta(role="assistant", content=""))])

    def piece(self, piece: Piece) -> bytes:
        """What is said, and why it ended."""
        choices = []
        if piece.text:
            choices.append(ChunkChoice(Delta(content=piece.text)))
        if piece.finish_reason is not None:
            choices.append(ChunkChoice(Delta(), finish_reason=piece.finish_reason))
        return b"".join(self._event([choice]) for choice in choices)

    def usage(self, usage: Mapping[str, Any]) -> bytes:
        """How many tokens it took: an event without choices."""
        return self._event([], dict(usage))

    def _event(self, choices: list[ChunkChoice], usage: dict[str, Any] | UnsetType = UNSET) -> bytes:
        chunk = ChatCompletionChunk(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage
        )
        return event(chunk)


def chunk_writer(model: str, now: datetime) -> ChunkWriter:
    """Begin a reply of a model under an id of its own."""
    return ChunkWriter(f"chatcmpl-{uuid.uuid4().hex}", model, int(now.timestamp()))


def event(value: Any) -> bytes:
    """Put a value into an event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


class _UpstreamDelta(msgspec.Struct, frozen=True):
    content: str | None = None


class _UpstreamChoice(msgspec.Struct, frozen=True):
    delta: _UpstreamDelta
    finish_reason: str | None = None


class _UpstreamChunk(msgspec.Struct, frozen=True):
    choices: list[_UpstreamChoice] = []
    usage: dict[str, Any] | None = None
    error: Any = None


_CHUNK = msgspec.json.Decoder(_UpstreamChunk)


def read_piece(data: bytes) -> Piece:
    """Read the data of an event of a model's server.

    Raises:
        ScoringError: 502 if it is no chunk, or says that the model failed.
    """
    try:
        chunk = _CHUNK.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        message = "the model's stream has an event that is no chunk of a reply"
        raise ScoringError(502, message, code="InvalidResponse", upstream_status=200) from fault
    if chunk.error is not None:
        raise ScoringError(502, "the model failed in mid-reply", code="ModelError", upstream_status=200)
    if not chunk.choices:
        return Piece(usage=chunk.usage)
    choice = chunk.choices[0]
    return Piece(choice.delta.content or "", choice.finish_reason, chunk.usage)
