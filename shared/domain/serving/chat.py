"""A conversation and how its reply is to be generated, in no dialect yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.domain.errors import RequestError

DEFAULT_REPLY_TOKENS = 1_024
"""Most tokens of a reply that are asked for where a server would choose its own number: vLLM's `/score` stops
after 16, MLflow's server only at the end of the context."""


class Chat(NamedTuple):
    """A request for one reply. None leaves a choice to the model.

    Attributes:
        messages: Each with `role` and `content`.
        temperature: 0 is greedy decoding.
        json_object: Whether the reply must be a JSON object.
    """

    messages: tuple[Mapping[str, str], ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    json_object: bool = False

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken, so that the same request has the same reply."""
        return self.temperature == 0 or self.top_p == 0


class Upstream(NamedTuple):
    """A request as the model's server takes it.

    Attributes:
        path: On the endpoint's host.
        headers: Besides those of every request.
    """

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class Reply(NamedTuple):
    """What a model said.

    Attributes:
        finish_reason: `stop` or `length` as the server says; `stop` where it does not.
        usage: Counts of tokens if the server gave them; never estimated.
    """

    text: str
    finish_reason: str = "stop"
    usage: Mapping[str, Any] | None = None


class UnsupportedParameterError(RequestError):
    """The server behind an endpoint cannot honour a parameter.

    Attributes:
        param: Its name.
    """

    def __init__(self, param: str, why: str) -> None:
        super().__init__(400, f"{param} is not supported: {why}", code="unsupported_parameter")
        self.param = param
