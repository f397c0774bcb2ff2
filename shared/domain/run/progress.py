"""How far a job's training is, when it will end, and whether it can still get better."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from shared.domain.run.parts import MetricPoint, TrainingProgress
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.sanitize import is_supported_timestamp

POLLS = 3
"""Training is read at each of so many looks at the job: every three minutes, by the default of
JOB_POLL_SECONDS. Each reading is four calls."""

POINTS = 100
"""Points of each loss that the record keeps while training goes on."""

RISES = 3
"""Evaluations in a row whose loss rose, after which training counts as one that cannot get better."""


class LoggedValue(NamedTuple):
    """A logged loss: finite or not."""

    step: int
    value: float


class TrainingReading(NamedTuple):
    """What MLflow has of a job that is at work.

    Attributes:
        began: When the first node started (UTC), or None.
        waits: Whether a node of it is known to wait for compute, and none has started.
        training_since: When the node started that trains; None until it logged a loss.
        logged_at: When it logged its last loss.
        epoch: How often it had gone through the rows by then.
        grad_norm: Norm of the last gradient, finite or not.
        train: Training losses in their order.
        evaluation: Evaluation losses in their order.
    """

    began: datetime | None = None
    waits: bool = False
    training_since: datetime | None = None
    logged_at: datetime | None = None
    epoch: float | None = None
    grad_norm: float | None = None
    train: tuple[LoggedValue, ...] = ()
    evaluation: tuple[LoggedValue, ...] = ()


def progress_of(run: Run, reading: TrainingReading, now: datetime) -> TrainingProgress:
    """What a run keeps of a reading."""
    parameters = run.plan.parameters if run.plan is not None else {}
    epochs, steps = (_number(parameters.get(name)) for name in ("num_train_epochs", "max_steps"))
    step = reading.train[-1].step if reading.train else None
    if steps is not None and steps > 0:
        epochs, share = None, (step or 0) / steps
    else:
        share = (reading.epoch or 0.0) / epochs if epochs else 0.0
    train, evaluation = _finite(reading.train), _finite(reading.evaluation)
    return TrainingProgress(
        read_at=now,
        began=reading.began or (None if reading.waits else run.entered(Stage.TRAINING)),
        step=step or None,
        steps=round(step / share) if step and 0 < share <= 1 else None,
        epoch=reading.epoch,
        epochs=epochs,
        ends_at=_end(reading, share),
        train_loss=train[-1].value if train else None,
        eval_loss=evaluation[-1].value if evaluation else None,
        train_losses=_thinned(train),
        eval_losses=_thinned(evaluation),
        diverged=divergence(reading),
    )


def unread_progress(run: Run, entered: datetime, now: datetime) -> TrainingProgress:
    """What is kept when MLflow could not be read: what was known before, or that the job uses its nodes."""
    known = run.progress or TrainingProgress(read_at=now, began=entered)
    return msgspec.structs.replace(known, read_at=now)


def divergence(reading: TrainingReading) -> str | None:
    """Why training cannot get better, or None.

    The trainer logs a loss that is not a number as 0, beside a gradient that is none
    (`logging_nan_inf_filter` of transformers.TrainingArguments); an evaluation's loss it logs as it is.
    """
    for losses, name in ((reading.train, "training"), (reading.evaluation, "evaluation")):
        if losses and not math.isfinite(losses[-1].value):
            lost_since = itertools.takewhile(lambda one: not math.isfinite(one.value), reversed(losses))
            since = list(lost_since)[-1]
            return f"the {name} loss is not a number since step {since.step}"
    lost = reading.grad_norm is not None and not math.isfinite(reading.grad_norm)
    if lost and reading.train and reading.train[-1].value == 0:
        return f"the gradient is not a number at step {reading.train[-1].step}, and so is the loss"
    last = [one.value for one in reading.evaluation[-RISES - 1 :]]
    if len(last) > RISES and all(later > earlier for earlier, later in itertools.pairwise(last)):
        return f"the evaluation loss rose {RISES} times in a row, from {last[0]:.4f} to {last[-1]:.4f}"
    return None


def _end(reading: TrainingReading, share: float) -> datetime | None:
    """When training ends if it goes on at its pace; the conversion of the model comes after it."""
    since, at = reading.training_since, reading.logged_at
    if since is None or at is None or at <= since or not share > 0:
        return None
    try:
        ends = since + (at - since) / min(share, 1.0)
    except OverflowError:
        return None
    return ends if is_supported_timestamp(ends) else None


def _finite(losses: Sequence[LoggedValue]) -> list[MetricPoint]:
    return [MetricPoint(step=one.step, value=one.value) for one in losses if math.isfinite(one.value)]


def _thinned(points: list[MetricPoint]) -> tuple[MetricPoint, ...]:
    if len(points) <= POINTS:
        return tuple(points)
    stride = (len(points) - 1) / (POINTS - 1)
    return tuple(points[round(index * stride)] for index in range(POINTS))


def _number(value: str | int | float | None) -> float | None:
    try:
        number = float(value if value is not None else "nan")
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
