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
    "observation": "tool",
    "function_call": "function",
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
        return _sharegpt(row), _given(row, "conversations", "system"), Code.SHAREGPT
    if "instruction" in row and "output" in row:
        keys = _given(row, "instruction", "input", "output", "system", "history")
        return _alpaca(row), keys, Code.ALPACA
    if "prompt" in row and "completion" in row:
        keys = _given(row, "prompt", "completion", "system")
        return _prompt_completion(row), keys, Code.PROMPT_COMPLETION
    return None, (), None


def _given(row: Mapping[str, Any], *keys: str) -> tuple[str, ...]:
    return tuple(key for key in keys if key in row)


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
    if not isinstance(context, str | None):
        question = context  # as a message's content it is a fault
    elif isinstance(question, str) and context and context.strip():
        question = f"{question}\n\n{context}"
    return [*_system(row), *_history(row), *_turns(question, row["output"])]


def _history(row: Mapping[str, Any]) -> list[Any]:
    """Earlier questions, each in a list with its answer; what is not becomes a faulty message."""
    history = row.get("history") or []
    turns: list[Any] = []
    for pair in history if isinstance(history, list) else [history]:
        turns += _turns(*pair) if isinstance(pair, list) and len(pair) == 2 else [pair]
    return turns


def _prompt_completion(row: Mapping[str, Any]) -> list[Any]:
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        # TRL's conversational form: both are lists of messages
        return [*_system(row), *prompt, *completion]
    return [*_system(row), *_turns(prompt, completion)]


def _turns(question: Any, answer: Any) -> list[Any]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _system(row: Mapping[str, Any]) -> list[Any]:
    system = row.get("system")
    return [{"role": "system", "content": system}] if system else []
