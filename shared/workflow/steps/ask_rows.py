"""Put test conversations to a model, a few at the same time, for half a minute at most."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import NamedTuple

import msgspec

from shared.domain.errors import FinetuneError, RequestError, ScoringError
from shared.domain.evaluation.rows import Answer, Row, Subject
from shared.domain.serving.chat import Chat, Reply
from shared.domain.serving.dialects import read_reply, upstream_request
from shared.logs import get_logger
from shared.ports import ScoringTarget, Services

REPLY_TOKENS = 512
"""Most tokens of an answer: enough for nearly every one, and seconds of work. A longer one counts as cut."""

REFUSALS = frozenset({400, 413, 422})
"""What a model's server answers to a conversation that it cannot take, whatever else it serves."""

UNAVAILABLE = frozenset({429, 503, 504})
"""Statuses that say nothing of a row: the model is busy, starting, or away."""

PIECE_SECONDS = 30.0
"""How long one invocation goes on asking: a worker that dies loses no more than the answers of this time."""

MOST_AT_ONCE = 4
"""Rows that are put to a model at the same time, if its deployment works on as many."""

_log = get_logger(__name__)


class Model(NamedTuple):
    """A model that rows are put to.

    Attributes:
        by: See `Answer.by`.
        target: Where it answers; None if it does not, and only what it has answered before is of use.
        deployment: Which of the endpoint's deployments; None as traffic decides.
    """

    subject: Subject
    by: str
    target: ScoringTarget | None
    deployment: str | None = None

    def may_answer(self, row: Row) -> bool:
        """Whether the row is still to be asked."""
        given = row.answers.get(self.subject)
        return self.target is not None and (given is None or not given.final)


def ask_rows(rows: Sequence[Row], model: Model, services: Services) -> list[Row]:
    """Put rows without an answer to the model until its first fault, or until the time is over.

    Returns:
        All rows, with the answers and the faults that were met.
    """
    asked, open_rows = {row.id: row for row in rows}, [row for row in rows if model.may_answer(row)]
    if model.target is None or not open_rows:
        return list(rows)
    # One that failed before is asked last: a row that breaks the server must not keep the others.
    open_rows.sort(key=lambda row: model.subject in row.answers)
    serving, began = model.target.serving, time.monotonic()
    width = max(1, min(MOST_AT_ONCE, serving.concurrency * serving.instances, len(open_rows)))
    with ThreadPoolExecutor(width, thread_name_prefix="evaluation") as pool:
        for start in range(0, len(open_rows), width):
            batch = open_rows[start : start + width]
            if len(batch) == 1:
                answers = [_ask(batch[0], model, services)]
            else:
                # Each thread in a copy of this context, so that its spans belong to the run's trace.
                going = [pool.submit(copy_context().run, _ask, row, model, services) for row in batch]
                answers = [one.result() for one in going]
            for row, answer in zip(batch, answers, strict=True):
                if answer is not None:
                    asked[row.id] = row.with_answer(model.subject, answer)
            failing = any(answer is None or not answer.counts for answer in answers)
            if failing or time.monotonic() - began > PIECE_SECONDS:
                break
    return list(asked.values())


def _ask(row: Row, model: Model, services: Services) -> Answer | None:
    """One answer, refusal or fault, or None from a model that is busy or cannot be reached.

    Greedy decoding, so that the same model answers the same again.
    """
    began = time.monotonic()
    try:
        reply = _reply(row, model, services)
    except FinetuneError as fault:
        if _refuses_the_row(fault):
            return Answer(by=model.by, refused=fault.code)
        if not isinstance(fault, ScoringError) or fault.status in UNAVAILABLE:
            _log.info("a model is not available", extra={"by": model.by, "code": fault.code})
            return None
        _log.warning("a model fails on a row of the test split", extra={"by": model.by, "code": fault.code})
        before = row.answers.get(model.subject)
        return Answer(by=model.by, fault=fault.code, attempts=before.attempts + 1 if before else 1)
    seconds = round(time.monotonic() - began, 3)
    tokens = (reply.usage or {}).get("completion_tokens")
    return Answer(
        by=model.by,
        text=reply.text,
        cut=reply.finish_reason == "length",
        seconds=seconds,
        tokens=tokens if isinstance(tokens, int) else None,
    )


def _reply(row: Row, model: Model, services: Services) -> Reply:
    assert model.target is not None
    route = model.target.serving.route
    chat = Chat(tuple(row.prompt), max_tokens=REPLY_TOKENS, temperature=0)
    answer = services.scoring.score(model.target, upstream_request(route, chat), deployment=model.deployment)
    return read_reply(route, answer, chat)


def _refuses_the_row(fault: FinetuneError) -> bool:
    """Whether the model's server does not take this conversation: its own word, or its dialect's rule."""
    if isinstance(fault, ScoringError):
        return fault.model_status in REFUSALS
    return isinstance(fault, RequestError) and fault.status in REFUSALS


def answered_before(row: Row, subject: Subject, by: str, text: str) -> Row:
    """The row with a reply that was had before the evaluation, whose time nobody measured."""
    return row.with_answer(subject, Answer(by=by, text=text))


def of_these(row: Row, models: Sequence[Model]) -> Row:
    """The row without answers of models that are no longer what is evaluated."""
    by = {model.subject: model.by for model in models}
    kept = {subject: one for subject, one in row.answers.items() if one.by == by.get(subject)}
    return msgspec.structs.replace(row, answers=kept)
