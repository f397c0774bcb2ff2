"""A model's reply in OpenAI's form, whole or as a stream.

Source: OpenAI's API reference, "The chat completion object" and "The chat completion chunk object".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.domain.serving.chat import Reply

DONE = b"data: [DONE]\n\n"


class ReplyMessage(msgspec.Struct, frozen=True):
    """The message of an answer."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(msgspec.Struct, frozen=True):
    """The one choice of an answer."""

    message: ReplyMessage
    finish_reason: str
    index: int = 0
    logprobs: None = None


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `usage` is there only when the endpoint counted tokens; `model` is the endpoint."""

    id: str
    created: Annotated[int, Meta(description="Seconds since 1970.")]
    model: str
    choices: list[Choice]
    object: Literal["chat.completion"] = "chat.completion"
    usage: dict[str, Any] | UnsetType = UNSET


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


def completion_of(reply: Reply, *, id: str, model: str, created: int) -> ChatCompletion:
    """Put a reply in OpenAI's form."""
    return ChatCompletion(
        id=id,
        created=created,
        model=model,
        choices=[Choice(message=ReplyMessage(reply.text), finish_reason=reply.finish_reason)],
        usage=dict(reply.usage) if reply.usage else UNSET,
    )


def events_of(
    reply: Reply,
    *,
    id: str,
    model: str,
    created: int,
    include_usage: bool,
) -> bytes:
    """Put a whole reply in OpenAI's form of a stream: who speaks, what is said, why it ended, and an end."""

    def chunk(*choices: ChunkChoice, usage: dict[str, Any] | UnsetType = UNSET) -> bytes:
        event = ChatCompletionChunk(id=id, created=created, model=model, choices=[*choices], usage=usage)
        return b"data: " + msgspec.json.encode(event) + b"\n\n"

    events = [
        chunk(ChunkChoice(Delta(role="assistant", content=""))),
        chunk(ChunkChoice(Delta(content=reply.text))),
        chunk(ChunkChoice(Delta(), finish_reason=reply.finish_reason)),
    ]
    if include_usage and reply.usage:
        events.append(chunk(usage=dict(reply.usage)))
    return b"".join((*events, DONE))
