"""A model's reply in OpenAI's form, in one piece.

Source: OpenAI's API reference, "The chat completion object".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.domain.serving.chat import Reply


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


def completion_of(reply: Reply, *, id: str, model: str, created: int) -> ChatCompletion:
    """Put a reply in OpenAI's form."""
    return ChatCompletion(
        id=id,
        created=created,
        model=model,
        choices=[Choice(message=ReplyMessage(reply.text), finish_reason=reply.finish_reason)],
        usage=dict(reply.usage) if reply.usage else UNSET,
    )
