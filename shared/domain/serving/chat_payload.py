"""Azure ML's chat-completion payload, and the text in its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_REPLY_KEYS = ("output", "generated_text", "content", "response", "text")
_FAULT_KEYS = frozenset({"error", "errors", "exception", "detail", "message"})


def chat_payload(messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap one conversation as the fine-tuned MLflow chat model takes it.

    The form is the Azure ML chat-completion notebook's: `input_string` is a list of conversations.
    """
    return {
        "input_data": {"input_string": [list(messages)], "parameters": dict(parameters)},
        "params": {},
    }


def reply_of(answer: Any) -> str | None:
    """Find the reply to the first conversation in a model's answer.

    MLflow chat models answer with an object (`{"output": …}`), a list with one entry a conversation, or
    a bare string, depending on the version that packed them; OpenAI-like servers nest it in `choices`.
    Under a key of another name it is the only one, e.g. a column's number; words of a fault are no reply.

    Returns:
        The text, or None if there is none to be found.
    """
    if isinstance(answer, str):
        return answer.strip() or None
    if isinstance(answer, Sequence):
        return reply_of(answer[0]) if answer else None
    if isinstance(answer, Mapping):
        choices = answer.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
            return reply_of(choices[0].get("message"))
        values = [answer[key] for key in _REPLY_KEYS if answer.get(key)]
        if len(answer) == 1 and not answer.keys() & _FAULT_KEYS:
            values = list(answer.values())
        return reply_of(values[0]) if values else None
    return None
