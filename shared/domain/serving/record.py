"""How a deployment serves its model: the part of a run's record that scoring uses."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class StrategyName(StrEnum):
    """The ways to serve a model, as the setting `SERVING` names them."""

    VLLM_ENVIRONMENT = "vllm-environment"
    # A workspace environment with the vLLM image.
    VLLM_MODEL_IMAGE = "vllm-model-image"
    # No environment: the vLLM image that the model's own metadata names.
    MLFLOW = "mlflow"
    # Azure ML's MLflow server.


class Dialect(StrEnum):
    """What a model's server takes and answers."""

    OPENAI = "openai"
    # OpenAI's chat completions, streams included.
    SCORE = "score"
    # `input_string` is one conversation; the answer is `{"output": text}`, or `{}` for any fault.
    SCORE_BATCH = "score-batch"
    # `input_string` is a list of conversations; the answer is `[{"0": text}, …]`.


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to talk to a server.

    Attributes:
        path: On the endpoint's host, e.g. `/v1/chat/completions`.
        extras: Whether OpenAI parameters beyond the server's own pass with the header
            `extra-parameters: pass-through`; `stream_options` is one of them. Without it they are refused.
    """

    dialect: Dialect
    path: str
    extras: bool = False


OPENAI_ROUTE = Route(Dialect.OPENAI, "/v1/chat/completions", extras=True)
OLD_OPENAI_ROUTE = Route(Dialect.OPENAI, "/chat/completions")
SCORE_ROUTE = Route(Dialect.SCORE, "/score")
BATCH_ROUTE = Route(Dialect.SCORE_BATCH, "/score")


class Serving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a live deployment serves: settled by its smoke test, and never guessed again.

    Attributes:
        strategy: The one that worked.
        route: Where and how to ask.
        concurrency: Requests that one instance works on at once.
        instances: VMs of the deployment.
    """

    strategy: StrategyName
    route: Route
    concurrency: int
    instances: int
