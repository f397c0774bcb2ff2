"""The rows of `evaluation.jsonl`: test conversations, and what each model answered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from shared.domain.dataset import SmokeSample

ATTEMPTS = 3
"""How often a row is put to a model that fails on it, before it counts as not answered."""


class Subject(StrEnum):
    """Whose answer it is."""

    CANDIDATE = "candidate"
    # The model of the run itself.
    CURRENT = "current"
    # The model that the dataset's name means when the run is evaluated.
    BASE = "base"
    # The base model, before any training.


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model answered to one row.

    Attributes:
        by: Who answered: the run, and the strategy that served its model.
        text: The reply; empty if there is none.
        cut: Whether the reply ended at the limit of its tokens.
        seconds: How long the whole reply took; None where it was not measured.
        tokens: Tokens of the reply, where the server counted them.
        refused: The code with which the model's server refused the row; that is an answer without text.
        fault: The code of the last fault, if the row has no answer.
        attempts: How often the row was asked.
        scores: By metric, once the evaluation is complete.
    """

    by: str
    text: str = ""
    cut: bool = False
    seconds: float | None = None
    tokens: int | None = None
    refused: str | None = None
    fault: str | None = None
    attempts: int = 1
    scores: dict[str, float] = {}

    @property
    def final(self) -> bool:
        """Whether the row is not asked again."""
        return self.fault is None or self.attempts >= ATTEMPTS

    @property
    def counts(self) -> bool:
        """Whether it says something about the model: it is a reply, or the model's own refusal."""
        return self.fault is None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One test conversation.

    Attributes:
        id: Digest of the conversation and its expected answer: the same row has it in every dataset.
        prompt: The messages before the last answer.
        expected: The answer that the data has.
        answers: By subject.
    """

    id: str
    prompt: list[dict[str, str]]
    expected: str
    answers: dict[Subject, Answer] = {}

    def with_answer(self, subject: Subject, answer: Answer) -> Row:
        """The row with one more answer."""
        return msgspec.structs.replace(self, answers={**self.answers, subject: answer})


def row_of(sample: SmokeSample) -> Row:
    """A conversation of the test split as a row without answers."""
    content = msgspec.json.encode([sample.messages, sample.expected])
    return Row(
        id=hashlib.sha256(content).hexdigest()[:32],
        prompt=[dict(message) for message in sample.messages],
        expected=sample.expected,
    )


def fingerprint_of(rows: Iterable[Row]) -> str:
    """A digest of the rows that are asked, whatever is answered."""
    return hashlib.sha256("".join(row.id for row in rows).encode()).hexdigest()[:32]


def read_rows(body: bytes) -> list[Row]:
    """Decode `evaluation.jsonl`.

    Raises:
        msgspec.MsgspecError: If it is damaged.
        UnicodeDecodeError: Likewise.
    """
    return msgspec.json.Decoder(Row).decode_lines(body)


def write_rows(rows: Sequence[Row]) -> bytes:
    """Encode `evaluation.jsonl`."""
    return msgspec.json.Encoder().encode_lines(rows)
