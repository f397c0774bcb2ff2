"""What nobody can know of Azure ML without asking it, and what one run of the app shows of it.

`docs/decisions/0011-ways-of-serving.md` has the same list, with what follows if an answer is no.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from finetune.client import Run
from finetune.client.types import FailedAttempt, Serving

_VLLM_ENVIRONMENT, _VLLM_MODEL_IMAGE, _MLFLOW = "vllm-environment", "vllm-model-image", "mlflow"
_CONFIGURABLE_COMPONENT = (0, 0, 82)
"""The first version of `chat_completion_pipeline` whose source has the input `finetune_config_path`."""

_START_UP_MINUTES = 60

_OF_THE_STRATEGY = frozenset(
    {
        "DeploymentFailed",
        "ModelError",
        "EmptyReply",
        "InvalidResponse",
        "ModelNotServable",
        "DeadlineExceeded",
    }
)
"""Codes of failures that concern the image or the model; others are quota, rights and the like."""

LEAST_SECONDS = 1.0
"""A reply that takes less may well arrive in one piece."""


class Answer(StrEnum):
    """What is known now."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    OPEN = "open"
    # The run did not come to where it would have shown.


class Stream(NamedTuple):
    """How one streamed reply arrived.

    Attributes:
        chunks: Events with text.
        first: Seconds from the request to the first of them.
        last: Seconds to the last.
        tokens: Tokens of the reply by the server's count; None if it did not tell.
    """

    chunks: int
    first: float
    last: float
    tokens: int | None


class Evidence(NamedTuple):
    """The run where it came farthest, and its model's reply if it was live."""

    run: Run
    stream: Stream | None


class Finding(NamedTuple):
    """A question, its answer, and what was seen."""

    question: str
    answer: Answer
    seen: str


def findings(evidence: Evidence) -> list[Finding]:
    """Answer every question as far as the evidence goes."""
    return [Finding(question, *answer(evidence)) for question, answer in QUESTIONS]


def _strategy(name: str) -> Callable[[Evidence], tuple[Answer, str]]:
    def answer(evidence: Evidence) -> tuple[Answer, str]:
        serving = evidence.run.serving
        failure = _failure(serving, name)
        if failure is not None:
            known = Answer.REFUTED if failure.code in _OF_THE_STRATEGY else Answer.OPEN
            return known, f"{failure.code}: {failure.message}"
        if _serves(evidence, name):
            return Answer.CONFIRMED, f"{evidence.run.run_id} is served by it"
        return Answer.OPEN, f"not tried: `SERVING={name}` tries it alone"

    return answer


def _failure(serving: Serving | None, name: str) -> FailedAttempt | None:
    failed = serving.failed if serving is not None else []
    return next((one for one in failed if one.strategy == name), None)


def _serves(evidence: Evidence, name: str) -> bool:
    serving = evidence.run.serving
    return serving is not None and serving.strategy == name and evidence.run.endpoint is not None


def _folder(evidence: Evidence) -> tuple[Answer, str]:
    for name in (_VLLM_ENVIRONMENT, _VLLM_MODEL_IMAGE):
        failure = _failure(evidence.run.serving, name)
        if failure is not None and failure.code == "ModelNotServable" and "folder" in failure.message:
            return Answer.REFUTED, failure.message
        if _serves(evidence, name):
            return Answer.CONFIRMED, "the image has found the model in it"
    return Answer.OPEN, "no strategy that needs the folder serves"


def _start_up(evidence: Evidence) -> tuple[Answer, str]:
    entered = {entry.stage: entry.at for entry in evidence.run.history}
    if "live" not in entered or "deploying" not in entered:
        return Answer.OPEN, "no deployment answered"
    minutes = (entered["live"] - entered["deploying"]).total_seconds() / 60
    known = Answer.CONFIRMED if minutes <= _START_UP_MINUTES else Answer.REFUTED
    return known, f"{minutes:.0f} minutes from the first request to traffic"


def _component(evidence: Evidence) -> tuple[Answer, str]:
    plan = evidence.run.plan
    if plan is None:
        return Answer.OPEN, "the run was not planned"
    parts = tuple(int(part) for part in plan.component_version.split(".") if part.isdecimal())
    known = Answer.CONFIRMED if parts >= _CONFIGURABLE_COMPONENT else Answer.REFUTED
    return known, f"the newest version is {plan.component_version}"


def _unbuffered(evidence: Evidence) -> tuple[Answer, str]:
    stream = evidence.stream
    if stream is None or stream.chunks < 2:
        return Answer.OPEN, "no reply of two chunks was streamed"
    seen = f"{stream.chunks} chunks, the first after {stream.first:.2f} s, the last after {stream.last:.2f} s"
    if stream.last < LEAST_SECONDS:
        return Answer.OPEN, f"{seen}: too quick to tell"
    # A reply that was held back arrives in a moment, after all of its time.
    held_back = stream.last - stream.first < 0.1 * stream.last
    return (Answer.REFUTED if held_back else Answer.CONFIRMED), seen


def _usage(evidence: Evidence) -> tuple[Answer, str]:
    stream = evidence.stream
    if stream is None:
        return Answer.OPEN, "no reply was streamed"
    if not any(_serves(evidence, name) for name in (_VLLM_ENVIRONMENT, _VLLM_MODEL_IMAGE)):
        return Answer.OPEN, "the strategy that serves does not count tokens"
    if stream.tokens is None:
        return Answer.REFUTED, "the stream ended without usage"
    return Answer.CONFIRMED, f"the server counted {stream.tokens} tokens"


def _metrics(evidence: Evidence) -> tuple[Answer, str]:
    run = evidence.run
    if run.metrics is None or run.metrics.train_loss is None:
        known = Answer.OPEN if run.model is None else Answer.REFUTED
        return known, "the record has no training loss"
    return Answer.CONFIRMED, f"training loss {run.metrics.train_loss:.4f}"


QUESTIONS: Sequence[tuple[str, Callable[[Evidence], tuple[Answer, str]]]] = (
    ("the component with finetune_config_path (0.0.82) is published", _component),
    ("losses can be read from the job's metrics", _metrics),
    ("a registered model keeps the pipeline output's name as its folder", _folder),
    ("the vLLM image serves the model in an environment of the workspace", _strategy(_VLLM_ENVIRONMENT)),
    ("the image that the model's metadata name serves it", _strategy(_VLLM_MODEL_IMAGE)),
    ("Azure's MLflow image serves it", _strategy(_MLFLOW)),
    ("endpoint and deployment are up within an hour", _start_up),
    ("single events pass the endpoint's gateway, and that of Azure Functions", _unbuffered),
    ("it passes on `extra-parameters`, so that streams have usage", _usage),
)
