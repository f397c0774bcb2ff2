"""Estimate how long a training job takes from those of earlier runs with the same base model and VM size."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Annotated

import msgspec
from msgspec import Meta

KEPT = 20
"""Jobs of a key that are remembered, the newest ones: prices and images change, and so does speed."""

LEAST_DIFFERENCE = 1.2
"""How many times the tokens of one job another must have for both to tell what a job takes besides."""

SECONDS_PER_HOUR = 3600.0


class JobTime(msgspec.Struct, frozen=True, kw_only=True):
    """How long the job of a run took.

    Attributes:
        run_id: The run.
        tokens: Estimated tokens of the training rows, times the epochs.
        seconds: From when its first node started until its last one ended; waiting for nodes is not in it.
    """

    run_id: str
    tokens: int
    seconds: float


MOST_HOURS = 1e6

Hours = Annotated[float, Meta(ge=0, le=MOST_HOURS)]


class HoursEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of a job.

    Attributes:
        low: If it is as fast as the fastest of the earlier jobs, compared with what is estimated for them.
        likely: The estimate.
        high: If it is as slow as the slowest of them.
        runs: How many earlier jobs there are. One alone says nothing of the spread.
    """

    low: Hours
    likely: Hours
    high: Hours
    runs: int


def time_key(base_model: str, size: str, nodes: int, parameters: Mapping[str, str | int | float]) -> str:
    """What jobs must have in common for one to tell the time of another, as a name of a blob."""
    adapters = "lora" if str(parameters.get("apply_lora", "false")) == "true" else "full"
    text = f"{base_model}/{size}/{nodes}/{adapters}".lower()
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def trained_tokens(
    tokens: int, rows: int, training_rows: int, gpus: int, parameters: Mapping[str, str | int | float]
) -> int:
    """Tokens that training goes through: those of the training rows, once each epoch.

    Args:
        tokens: Of all rows.
        rows: Of all splits.
        training_rows: Of the training split.
        gpus: Of all nodes of the job.
        parameters: Inputs of the training component. With `max_steps` training goes through so many batches,
            whatever `num_train_epochs` says (transformers.TrainingArguments).
    """
    if not rows or not training_rows:
        return 0
    per_row = tokens / rows
    steps = _number(parameters, "max_steps", -1)
    if steps <= 0:
        return math.ceil(per_row * training_rows * _number(parameters, "num_train_epochs", 1))
    batch = _number(parameters, "per_device_train_batch_size", 1) * max(1, gpus)
    return math.ceil(per_row * steps * batch * max(1, _number(parameters, "gradient_accumulation_steps", 1)))


def estimate_hours(tokens: int, earlier: Sequence[JobTime]) -> HoursEstimate | None:
    """Estimate how long a job takes that goes through so many tokens; None if no earlier job is known.

    A job takes a while to start, whatever its data, and then a time for each token. Pairs of jobs of
    different length tell both (Theil and Sen's estimator: one odd job does not bend it); without any, all of
    the time counts as the tokens'.
    """
    known = [job for job in earlier if job.tokens > 0 and job.seconds > 0]
    if not known:
        return None
    fixed, per_token = _fit(known)

    def seconds(count: int) -> float:
        return min(fixed + per_token * count, MOST_HOURS * SECONDS_PER_HOUR)

    ratios = [job.seconds / seconds(job.tokens) for job in known]
    likely = seconds(tokens) / SECONDS_PER_HOUR
    return HoursEstimate(
        low=round(likely * min(1.0, *ratios), 4),
        likely=round(likely, 4),
        high=min(round(likely * max(1.0, *ratios), 4), MOST_HOURS),
        runs=len(known),
    )


def _fit(known: Sequence[JobTime]) -> tuple[float, float]:
    """Seconds of any job, and seconds for each token."""
    slopes = [
        (longer.seconds - shorter.seconds) / (longer.tokens - shorter.tokens)
        for one, other in itertools.combinations(known, 2)
        for shorter, longer in [sorted((one, other), key=lambda job: job.tokens)]
        if longer.tokens >= LEAST_DIFFERENCE * shorter.tokens
    ]
    per_token = median(slopes) if slopes else 0.0
    if per_token <= 0:
        return 0.0, median(job.seconds / job.tokens for job in known)
    fixed = median(job.seconds - per_token * job.tokens for job in known)
    return (fixed, per_token) if fixed > 0 else (0.0, median(job.seconds / job.tokens for job in known))


def _number(parameters: Mapping[str, str | int | float], name: str, default: float) -> float:
    try:
        value = float(parameters.get(name, default))
    except (ValueError, OverflowError):
        return default
    return value if math.isfinite(value) else default
