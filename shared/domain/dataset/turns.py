"""What the keys of one turn mean, and how its content becomes one text."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from .codes import Code
from .keys import (
    CONTENT_KEYS,
    HARMLESS_MESSAGE_KEYS,
    HARMLESS_OASST_KEYS,
    MEDIA_KEY,
    OASST_WEIGHT_KEY,
    ROLE_KEYS,
    TOOL_MESSAGE_KEYS,
    WEIGHT_KEYS,
    is_empty,
)
from .naming import quoted
from .row_plan import unknown_keys

_TEXT_PARTS = frozenset(("text", "input_text", "output_text"))


class TurnPlan(NamedTuple):
    """What is to be done with turns that have certain keys.

    Attributes:
        role: The key of the speaker; None if there is none.
        content: The key of the text; None if there is none.
        weights: Keys that say whether the turn is learned.
        left_out: Keys that have no effect.
        fault: What is wrong with the keys, where `number` stands for the message's.
    """

    role: str | None
    content: str | None
    weights: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    fault: tuple[Code, str] | None = None


def plan_turn(keys: Collection[str], ignored: Collection[str]) -> TurnPlan:
    """Plan what is done with turns of these keys, all of which have a value."""
    present = [key for key in keys if key not in ignored]
    roles = [key for key in ROLE_KEYS if key in present]
    contents = [key for key in CONTENT_KEYS if key in present]
    role, content = next(iter(roles), None), next(iter(contents), None)
    is_oasst = content == "text" and "message_id" in present
    harmless = HARMLESS_MESSAGE_KEYS | HARMLESS_OASST_KEYS if is_oasst else HARMLESS_MESSAGE_KEYS
    weights = tuple(key for key in present if key in WEIGHT_KEYS or (is_oasst and key == OASST_WEIGHT_KEY))
    left_out = tuple(key for key in keys if key not in (role, content))
    unknown = [
        key for key in present if key not in harmless and key not in weights and key not in (role, content)
    ]
    fault = None
    if any(key in TOOL_MESSAGE_KEYS for key in unknown):
        fault = Code.TOOL_CALLS, "message {number} is part of a tool call, which the trainer cannot train"
    elif media := [key for key in unknown if MEDIA_KEY.fullmatch(key)]:
        fault = Code.MEDIA, f"message {{number}} has {quoted(media)}, which the model would never see"
    elif len(roles) > 1 or len(contents) > 1:
        twice = roles if len(roles) > 1 else contents
        fault = Code.AMBIGUOUS, f"message {{number}} has {quoted(twice)}, which mean the same; keep one"
    elif unknown:
        fault = Code.UNKNOWN_KEY, unknown_keys("message {number}", unknown)
    return TurnPlan(role, content, weights, left_out, fault)


def without_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object less the keys that say nothing."""
    return {key: item for key, item in value.items() if not is_empty(item)}


def meaningful_turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn less the keys that say nothing; of a role or content that is empty, one is kept."""
    kept = without_empty(turn)
    for names in (ROLE_KEYS, CONTENT_KEYS):
        empty = next((name for name in names if name in turn), None)
        if empty is not None and kept.keys().isdisjoint(names):
            kept[empty] = turn[empty]
    return kept


def join_parts(parts: list[Any]) -> str:
    r"""Join a content's parts of text, each on lines of its own, as vLLM does for templates that take texts.

    Raises:
        NotTextError: A part is none.
    """
    texts = []
    for part in parts:
        if isinstance(part, dict):
            text = part.get("text", part.get("value"))
            kind = part.get("type", "text" if isinstance(text, str) else " ".join(part))
            if not isinstance(kind, str):
                raise NotTextError("unknown")
            if kind not in _TEXT_PARTS or not isinstance(text, str) or len(part) > 1 + ("type" in part):
                raise NotTextError(kind)
        elif isinstance(part, str) and len(parts) == 1:
            text = part
        elif isinstance(part, str):
            raise NotTextError("several texts")  # parts of one, or one to choose: nobody says
        else:
            raise NotTextError("unknown")
        texts.append(text)
    return "\n".join(texts)


class NotTextError(ValueError):
    """A content has a part that is no text. Becomes a finding, never leaves the package."""

    retryable = False

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind

    @property
    def is_media(self) -> bool:
        """Whether the part is an image, a sound, a video or a document."""
        return any(word in self.kind for word in ("image", "audio", "video", "file", "document"))

    @property
    def is_several(self) -> bool:
        """Whether there are several texts in a list, which may be one in parts or one to choose."""
        return self.kind == "several texts"

    @property
    def is_tool(self) -> bool:
        """Whether the part calls a tool or holds its result."""
        return any(word in self.kind for word in ("tool", "function"))
