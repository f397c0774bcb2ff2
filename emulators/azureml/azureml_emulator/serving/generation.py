"""One answer of a served model while it is generated: its pace, its end, and its tokens' number."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from azureml_emulator.core.state import EmulatorState
from azureml_emulator.training.chat_model import Sampling, generate, prompt_tokens
from azureml_emulator.training.language_model import LanguageModel

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model that a container has loaded.

    Attributes:
        key: ``endpoint/deployment``.
        name: The base model's, which OpenAI-like answers carry.
        context: Tokens of prompt and answer together that it takes.
    """

    state: EmulatorState
    key: str
    model: LanguageModel
    name: str
    context: int


@dataclass(slots=True)
class Generation:
    """One answer.

    Attributes:
        deadline: When the request times out, by ``time.monotonic``.
        completion_tokens: Tokens generated so far.
        finish_reason: ``stop``, or ``length`` if the answer was cut; right once ``pieces`` has ended.
    """

    served: Served
    messages: Messages
    sampling: Sampling
    deadline: float
    stops: Sequence[str] = ()
    completion_tokens: int = field(init=False, default=0)
    finish_reason: str = field(init=False, default="stop")

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the conversation."""
        return prompt_tokens(self.messages)

    def text(self) -> str:
        """The whole answer.

        Raises:
            TimeoutError: The deadline passed first.
        """
        pieces = []
        for piece in self.pieces():
            if time.monotonic() > self.deadline:
                raise TimeoutError
            pieces.append(piece)
        return "".join(pieces)

    def pieces(self) -> Iterator[str]:
        """The answer's text at the model's pace, up to the first stop sequence.

        As many characters as could begin a stop sequence are held back until it is clear that they do not.
        """
        state, held, longest = self.served.state, "", max(map(len, self.stops), default=1) - 1
        with state.generations.one(self.served.key):
            for token in generate(self.served.model, self.messages, self.sampling):
                if state.pace.token:
                    time.sleep(state.pace.token)
                self.completion_tokens += 1
                held += token
                cut = min((at for stop in self.stops if (at := held.find(stop)) >= 0), default=None)
                if cut is not None:
                    yield held[:cut]
                    return
                ready = len(held) - longest
                if ready > 0:
                    yield held[:ready]
                    held = held[ready:]
            if held:
                yield held
            if self.completion_tokens >= self.sampling.most_tokens:
                self.finish_reason = "length"
