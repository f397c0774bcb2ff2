"""Picks the conversations that smoke test and evaluation put to a fresh deployment."""

import heapq
from typing import NamedTuple

from .conversation import Message, decode_messages
from .report import SmokeSample
from .rules import ValidationRules
from .splitting import rank, seed_key


class SmokeState(NamedTuple):
    """The draw so far, to be written down."""

    heap: list[tuple[int, int, bytes]]
    shortest: bytes | None


class SmokeSampler:
    """Keeps the rows of the test split that rank lowest under the seed: a fair draw in one pass."""

    def __init__(self, rules: ValidationRules) -> None:
        self._wanted = rules.smoke_samples
        self._limit = rules.smoke_sample_bytes
        self._key = seed_key(~rules.seed)  # not the split's own key: its lowest ranks are all in one split
        self._heap: list[tuple[int, int, bytes]] = []
        self._shortest: bytes | None = None  # what there is to fall back on when every row is too long

    def add(self, digest: int, encoded: bytes) -> None:
        """Consider one row of the test split."""
        if len(encoded) > self._limit:
            if not self._heap and (self._shortest is None or len(encoded) < len(self._shortest)):
                self._shortest = encoded
            return
        entry = (-rank(digest, self._key), digest, encoded)
        if len(self._heap) < self._wanted:
            if entry not in self._heap:
                heapq.heappush(self._heap, entry)
        elif self._heap and entry > self._heap[0] and entry not in self._heap:
            heapq.heapreplace(self._heap, entry)

    @property
    def state(self) -> SmokeState:
        """What `restore` takes."""
        return SmokeState(list(self._heap), self._shortest)

    def restore(self, state: SmokeState) -> None:
        """Go on with a draw that was begun."""
        self._heap, self._shortest = list(state.heap), state.shortest

    def samples(self) -> list[SmokeSample]:
        """The chosen conversations, lowest rank first."""
        if not self._heap and self._shortest is not None:
            return [self._cut(decode_messages(self._shortest))]
        return [_sample(decode_messages(encoded)) for _, _, encoded in sorted(self._heap, reverse=True)]

    def _cut(self, messages: list[Message]) -> SmokeSample:
        """The last turn of a conversation that is too long, its texts cut to the limit."""
        sample = _sample(messages[-2:])
        most = self._limit // 8  # characters; two texts of at most four bytes each
        question = [{"role": turn["role"], "content": turn["content"][:most]} for turn in sample.messages]
        return SmokeSample(messages=question, expected=sample.expected[:most])


def _sample(messages: list[Message]) -> SmokeSample:
    return SmokeSample(messages=messages[:-1], expected=messages[-1]["content"])
