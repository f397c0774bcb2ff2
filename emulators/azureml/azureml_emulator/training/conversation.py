"""Examples: what a conversation asks, and what the assistant answers."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import msgspec

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\s?\w+|\s?[^\w\s]|\s+")
# What a conversation costs the base model: long words are several tokens, as for any subword tokenizer.
_PIECE = re.compile(r"\s?\w{1,6}|\s?[^\w\s]|\s+")
_TOKENS_PER_MESSAGE = 4
EARLIER_WEIGHT = 0.3
"""How much a word of an earlier message counts beside one of the latest question."""


class Example(msgspec.Struct):
    """One assistant turn to learn from.

    Attributes:
        question: Words of the conversation so far and their weights.
        answer: What the assistant says.
    """

    question: dict[str, float]
    answer: str


def tokens(text: str) -> list[str]:
    """Words and signs, each with the blank before it, so that joining them gives the text back."""
    return _TOKEN.findall(text)


def truncated(messages: list[dict[str, Any]], window: int) -> list[dict[str, Any]]:
    """The start of a conversation that a trainer keeps.

    Args:
        messages: What the chat template lets through: texts and their roles.
        window: Tokens that are kept. They are counted as words of up to six letters and signs, and four
            for each message's role and separators: near what subword tokenizers make of English.

    Returns:
        The messages within the window, the last of them cut short.
    """
    if sum(len(message["content"]) + _TOKENS_PER_MESSAGE for message in messages) <= window:
        return messages  # no text has more tokens than characters
    kept = []
    for message in messages:
        window -= _TOKENS_PER_MESSAGE
        pieces = _PIECE.findall(message["content"])
        if window <= 0:
            break
        kept.append({**message, "content": "".join(pieces[:window])})
        window -= len(pieces)
    return kept


def question_of(messages: list[dict[str, Any]]) -> dict[str, float]:
    """Weighted words of a conversation: the latest message counts most."""
    words: Counter[str] = Counter()
    for index, message in enumerate(messages):
        weight = 1.0 if index == len(messages) - 1 else EARLIER_WEIGHT
        for word in _WORD.findall(str(message.get("content", "")).lower()):
            words[word] += weight  # type: ignore[assignment]
    return dict(words)


def learned_turns(messages: list[dict[str, Any]]) -> list[int]:
    """Which messages of a conversation the trainer learns; none of one that it drops.

    It masks by the marks that begin turns (``CustomCollatorForCompletionOnlyLM`` of the package
    azureml-acft-contrib-hf-nlp 0.0.91): from each user's to the answer's of the same number, and everything
    from the last user's if answers are fewer. So two questions in a row leave nothing of a short row.
    """
    questions = [2 * number for number, message in enumerate(messages) if message["role"] == "user"]
    answers = [2 * number + 1 for number, message in enumerate(messages) if message["role"] == "assistant"]
    if not questions or not answers:
        return []
    if questions[0] > answers[0]:
        questions.insert(0, 0)
    masked = set(range(answers[0]))
    for begin, end in list(zip(questions, answers, strict=False))[1:]:
        masked.update(range(begin, end))
    if len(answers) < len(questions):
        masked.update(range(questions[-1], 2 * len(messages)))
    return [number for number in range(len(messages)) if 2 * number + 1 not in masked]


def examples_of(messages: list[dict[str, Any]]) -> list[Example]:
    """One example for each answer that says something and is learned."""
    return [
        Example(question_of(messages[:index]), str(messages[index]["content"]))
        for index in learned_turns(messages)
        if messages[index]["role"] == "assistant" and messages[index]["content"]
    ]
