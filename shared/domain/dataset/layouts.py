"""Layouts other than `messages` that people keep conversations in, turned into messages.

Sources: ShareGPT and Alpaca as LLaMA-Factory documents them in data/README.md; prompt and completion as
OpenAI's legacy fine-tuning and TRL's prompt-completion type define them.
"""

from collections.abc import Mapping
from typing import Any

from .codes import Code

_SHAREGPT_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}


def as_messages(row: Mapping[str, Any]) -> tuple[Any, tuple[str, ...], Code | None]:
    """Find a row's conversation.

    Args:
        row: One decoded row.

    Returns:
        The value to be checked as messages; the keys it was taken from, none if the row has no known
        layout; and the repair's code unless the row had `messages` already.
    """
    if "messages" in row:
        return row["messages"], ("messages",), None
    if "conversations" in row:
        return _sharegpt(row), ("conversations", "system"), Code.SHAREGPT
    if "instruction" in row and "output" in row:
        return _alpaca(row), ("instruction", "input", "output", "system"), Code.ALPACA
    if "prompt" in row and "completion" in row:
        return _prompt_completion(row), ("prompt", "completion"), Code.PROMPT_COMPLETION
    return None, (), None


def _sharegpt(row: Mapping[str, Any]) -> Any:
    turns = row["conversations"]
    if not isinstance(turns, list):
        return turns
    messages = [_sharegpt_message(turn) for turn in turns]
    return _system(row) + messages


def _sharegpt_message(turn: Any) -> Any:
    if not isinstance(turn, dict) or "from" not in turn:
        return turn
    speaker = turn["from"]
    role = _SHAREGPT_ROLES.get(speaker, speaker) if isinstance(speaker, str) else speaker
    message = {key: value for key, value in turn.items() if key not in ("from", "value")}
    message["role"] = role
    if "value" in turn:
        message["content"] = turn["value"]
    return message


def _alpaca(row: Mapping[str, Any]) -> list[Any]:
    question = row["instruction"]
    context = row.get("input")
    if isinstance(question, str) and isinstance(context, str) and context.strip():
        question = f"{question}\n\n{context}"
    return [
        *_system(row),
        {"role": "user", "content": question},
        {"role": "assistant", "content": row["output"]},
    ]


def _prompt_completion(row: Mapping[str, Any]) -> list[Any]:
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        return [*prompt, *completion]  # TRL's conversational form: both are lists of messages
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


def _system(row: Mapping[str, Any]) -> list[Any]:
    system = row.get("system")
    return [{"role": "system", "content": system}] if system else []
