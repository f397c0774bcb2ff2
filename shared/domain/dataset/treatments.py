"""What an uploader may ask for to make usable what is refused otherwise. All of it is off by default."""

from collections.abc import Mapping
from typing import Any

from .conversation import Message
from .keys import is_empty
from .markup import strip_markup


def chosen_row(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of preference data as a plain one, with the chosen answer only.

    Returns:
        The row; None if it says no answer that is to be learned, because it is marked as bad.

    Raises:
        ValueError: The row does not say which answer is the chosen one in a form that is known.
    """
    rest = {key: value for key, value in row.items() if not _is_of_preference(key)}
    marks = [_MARKS.get(str(row[key]).lower()) for key in _MARK_KEYS if key in row]
    if len(marks) == 1 and marks[0] is not None and "chosen" not in row:
        return rest if marks[0] else None
    chosen = row.get("chosen", row.get("preferred_output"))
    question = row.get("prompt", row.get("question", row.get("input")))
    if isinstance(question, dict):  # OpenAI's preference data keep the messages in an object
        question = question.get("messages")
    if isinstance(chosen, list) and chosen and all(isinstance(turn, dict) for turn in chosen):
        begins = chosen[0].get("role", chosen[0].get("from"))
        turns = list(chosen)
        if begins in ("assistant", "gpt"):
            if isinstance(question, str):
                question = [{"role": "user", "content": question}]
            earlier = (
                question if isinstance(question, list) else row.get("messages", row.get("conversations"))
            )
            if not isinstance(earlier, list):
                raise ValueError("no question")
            turns = [*earlier, *chosen]
        kept = {key: rest[key] for key in rest if key not in _BODY}
        return {**kept, "messages": turns}
    if isinstance(chosen, dict):
        return chosen_row({**row, "chosen": [chosen]})
    if not isinstance(chosen, str) or is_empty(question):
        raise ValueError("no chosen answer")
    kept = {key: rest[key] for key in rest if key not in _BODY}
    return {**kept, "prompt": question, "completion": chosen}


_MARK_KEYS = ("label", "kto_tag")  # TRL's unpaired type, and LLaMA-Factory's
_MARKS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}  # also of tables
_BODY = frozenset(("prompt", "question", "input", "messages", "conversations"))
_PREFERENCE_WORDS = ("chosen", "reject", "preferred", "score", "rating", "margin", "label", "kto_tag")


def _is_of_preference(key: str) -> bool:
    return any(word in key for word in _PREFERENCE_WORDS)


def strip_messages(messages: list[Message]) -> list[Message]:
    """Messages less the marks of chat templates."""
    return [{**message, "content": strip_markup(message["content"])} for message in messages]


def split_before(messages: list[Message], masked: int) -> list[Message]:
    """A conversation up to the last answer before one that is not to be learned; empty if there is none.

    Args:
        messages: The conversation.
        masked: The place of the first such answer in it.
    """
    answers = [place for place in range(masked) if messages[place]["role"] == "assistant"]
    return messages[: answers[-1] + 1] if answers else []
