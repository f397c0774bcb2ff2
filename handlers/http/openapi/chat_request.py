"""The documented body of a chat completion, including parameters that change nothing."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.domain.serving.openai_chat import HARMLESS, NEUTRAL, ChatCompletionRequest


def _only(values: tuple[Any, ...]) -> str:
    # Told apart by it: typing takes two annotations for one if False is all that they differ from 0 by.
    return f"Only {' or '.join(msgspec.json.encode(value).decode() for value in (*values, None))}."


_OWN = [
    (field.name, field.type) if field.required else (field.name, field.type, field.default)
    for field in msgspec.structs.fields(ChatCompletionRequest)
]
_HARMLESS = [(name, Annotated[Any, Meta(description="Changes nothing.")], None) for name in HARMLESS]
_NEUTRAL = [
    (
        name,
        Annotated[Any, Meta(description=_only(values), extra_json_schema={"enum": [*values, None]})],
        None,
    )
    for name, values in NEUTRAL.items()
]

ChatCompletionBody = msgspec.defstruct(
    "ChatCompletionBody",
    [*_OWN, *_HARMLESS, *_NEUTRAL],
    namespace={"__doc__": "The parameters of a chat completion; any other is refused."},
    kw_only=True,
    forbid_unknown_fields=True,
)
