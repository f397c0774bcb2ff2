"""A small language model: a log-bilinear model beside a memory of answers, joined by a learned gate.

The log-bilinear part (after Mnih and Hinton, 2007) predicts a token from the three before it and the words
of the question, and learns by gradient. The memory (in the manner of nearest-neighbour language models,
Khandelwal et al., 2020) looks up how the answers to the most similar questions went on after the same
tokens. A logistic gate, learned by gradient too, says how far the memory is to be trusted. Its
probabilities sum to one, so its cross-entropy is a real loss.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azureml_emulator.training.conversation import Example, tokens

Array = NDArray[np.float32]
Gradients = dict[str, Array]

WIDTH = 24
CONTEXT = 3
ORDERS = (4, 3, 2, 1)
NEIGHBOURS = 8
VOCABULARY = 1000
ANSWER_TOKENS = 256
BEGIN, END, UNKNOWN = 0, 1, 2
_SPECIAL = ("<s>", "</s>", "<unk>")
COMMON = 0.1
"""Words at least this rare (in nats) tell questions apart; those that nearly all share only cost time."""
_SHARPNESS = 12.0
READABLE = 3.0
"""Added to the gate when answering, never when a loss is computed: remembered words read better."""


class Prediction(NamedTuple):
    """What memory knows of the next token: probabilities, and how long a context they rest on (0: none)."""

    probabilities: dict[str, float]
    order: int


class Memory:
    """Answers seen so far, found by the likeness of their questions (TF-IDF, cosine)."""

    def __init__(self) -> None:
        self.examples: list[Example] = []
        self._followers: list[dict[tuple[str, ...], Counter[str]]] = []
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._norms: list[float] = []

    def add(self, example: Example) -> None:
        """Remembers one more answer."""
        index = len(self.examples)
        self.examples.append(example)
        followers: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        answer = [*tokens(example.answer)[:ANSWER_TOKENS], _SPECIAL[END]]
        before = [_SPECIAL[BEGIN]] * ORDERS[0]
        for token in answer:
            for order in ORDERS:
                followers[tuple(before[-order:])][token] += 1
            before.append(token)
        self._followers.append(dict(followers))
        for word, weight in example.question.items():
            self._postings[word].append((index, weight))
        self._norms.append(1.0)

    def neighbours(self, question: dict[str, float]) -> list[tuple[int, float]]:
        """The examples whose questions are most alike, with their likeness, 0 to 1, best first."""
        if not self.examples:
            return []
        count = len(self.examples)
        scores: dict[int, float] = defaultdict(float)
        norm = 0.0
        for word, weight in question.items():
            postings = self._postings.get(word, [])
            rarity = math.log((count + 1) / (len(postings) + 0.5))
            norm += (weight * rarity) ** 2
            if rarity < COMMON:
                continue
            for index, other in postings:
                scores[index] += weight * other * rarity * rarity
        best = sorted(scores.items(), key=lambda item: -item[1])[: 4 * NEIGHBOURS]
        alike = [(index, score / (math.sqrt(norm) * self._norm(index) + 1e-9)) for index, score in best]
        alike.sort(key=lambda item: -item[1])
        return alike[:NEIGHBOURS] or [(index, 0.0) for index in range(min(count, NEIGHBOURS))]

    def _norm(self, index: int) -> float:
        count = len(self.examples)
        total = 0.0
        for word, weight in self.examples[index].question.items():
            total += (weight * math.log((count + 1) / (len(self._postings[word]) + 0.5))) ** 2
        return math.sqrt(total)

    def predict(self, neighbours: list[tuple[int, float]], before: list[str]) -> Prediction:
        """How the neighbours' answers went on after the longest context they share with this one."""
        for order in ORDERS:
            context = tuple(before[-order:])
            votes: dict[str, float] = defaultdict(float)
            for index, likeness in neighbours:
                followers = self._followers[index].get(context)
                if followers:
                    share = math.exp(_SHARPNESS * (likeness - 1)) / followers.total()
                    for token, count in followers.items():
                        votes[token] += share * count
            if votes:
                total = sum(votes.values())
                return Prediction({token: vote / total for token, vote in votes.items()}, order)
        return Prediction({}, 0)


class LanguageModel:
    """The model and its parameters.

    Attributes:
        parameters: Arrays by name: ``input`` and ``output`` (vocabulary x width), ``bias``, ``position``,
            ``question`` and ``gate``.
    """

    def __init__(self, vocabulary: list[str], seed: int) -> None:
        self.vocabulary = vocabulary
        self.ids = {token: index for index, token in enumerate(vocabulary)}
        self.memory = Memory()
        draw = np.random.default_rng(seed)
        size = len(vocabulary)
        self.parameters: dict[str, Array] = {
            "input": draw.normal(0, 0.1, (size, WIDTH)).astype(np.float32),
            "output": draw.normal(0, 0.1, (size, WIDTH)).astype(np.float32),
            "bias": np.zeros(size, np.float32),
            "position": np.ones((CONTEXT, WIDTH), np.float32),
            "question": np.ones(WIDTH, np.float32),
            # Trust: never by itself, more for alike questions and long contexts.
            "gate": np.array([-2.0, 4.0, 0.5], np.float32),
        }

    @classmethod
    def for_examples(cls, examples: list[Example], seed: int) -> LanguageModel:
        """A model that has yet to learn, with the examples' most frequent tokens for its vocabulary."""
        counts: dict[str, int] = defaultdict(int)
        for example in examples:
            for token in tokens(example.answer)[:ANSWER_TOKENS]:
                counts[token] += 1
        frequent = sorted(counts, key=lambda token: (-counts[token], token))
        return cls([*_SPECIAL, *frequent[: VOCABULARY - len(_SPECIAL)]], seed)

    def loss(self, example: Example, gradients: Gradients | None = None) -> tuple[float, int]:
        """Summed cross-entropy (nats) of an answer and its tokens' number; adds to the gradients if given."""
        answer = [*tokens(example.answer)[:ANSWER_TOKENS], _SPECIAL[END]]
        neighbours = self.memory.neighbours(example.question)
        likeness = neighbours[0][1] if neighbours else 0.0
        before = [_SPECIAL[BEGIN]] * ORDERS[0]
        remembered = np.zeros(len(answer), np.float32)
        features = np.zeros((len(answer), 3), np.float32)
        for index, token in enumerate(answer):
            probabilities, order = self.memory.predict(neighbours, before)
            features[index] = (1.0, likeness, order)
            remembered[index] = self._probability(probabilities, token)
            before.append(token)
        targets = np.array([self.ids.get(token, UNKNOWN) for token in answer])
        contexts = self._contexts(targets)
        question = self._question(example.question)
        hidden, all_probabilities = self._forward(contexts, question)
        own = all_probabilities[np.arange(len(answer)), targets]
        trust = _sigmoid(features @ self.parameters["gate"]) * (features[:, 2] > 0)
        mixed = np.maximum(trust * remembered + (1 - trust) * own, 1e-9)
        if gradients is not None:
            gate = -(remembered - own) / mixed * trust * (1 - trust)
            gradients["gate"] += gate @ features
            responsibility = (1 - trust) * own / mixed
            self._backward(contexts, question, hidden, all_probabilities, targets, responsibility, gradients)
        return float(-np.log(mixed).sum()), len(answer)

    def next_probabilities(
        self, question: dict[str, float], neighbours: list[tuple[int, float]], before: list[str]
    ) -> dict[str, float]:
        """Probabilities of the next token of an answer, given what memory finds alike to its question."""
        probabilities, order = self.memory.predict(neighbours, [*[_SPECIAL[BEGIN]] * ORDERS[0], *before])
        targets = np.array([self.ids.get(token, UNKNOWN) for token in before[-CONTEXT:]] + [UNKNOWN])
        if len(before) >= CONTEXT:
            contexts = targets[None, :CONTEXT][:, ::-1]
        else:
            contexts = self._contexts(targets)[-1:]
        _, own = self._forward(contexts, self._question(question))
        likeness = neighbours[0][1] if neighbours else 0.0
        gate = READABLE + np.array([1.0, likeness, order], np.float32) @ self.parameters["gate"]
        trust = float(_sigmoid(gate)) if order else 0.0
        mixed = {
            token: float(probability) * (1 - trust)
            for token, probability in zip(self.vocabulary, own[0], strict=True)
            if token not in (_SPECIAL[BEGIN], _SPECIAL[UNKNOWN])
        }
        for token, probability in probabilities.items():
            mixed[token] = mixed.get(token, 0.0) + trust * probability
        return mixed

    def zero_gradients(self) -> Gradients:
        """Gradients that are all zero."""
        return {name: np.zeros_like(array) for name, array in self.parameters.items()}

    def _probability(self, probabilities: dict[str, float], token: str) -> float:
        """Of a token, or of all that the vocabulary does not know when the token is one of those."""
        if token in self.ids:
            return probabilities.get(token, 0.0)
        return sum(probability for other, probability in probabilities.items() if other not in self.ids)

    def _contexts(self, targets: NDArray[Any]) -> NDArray[Any]:
        padded = np.concatenate([np.full(CONTEXT, BEGIN), targets])
        return np.stack(
            [padded[CONTEXT - 1 - back : len(padded) - 1 - back] for back in range(CONTEXT)], axis=1
        )

    def _question(self, question: dict[str, float]) -> NDArray[Any]:
        """Vocabulary ids of the question's words, as they appear inside a sentence."""
        found = (self.ids.get(f" {word}", self.ids.get(word)) for word in question)
        return np.array([index for index in found if index is not None], np.int64)

    def _forward(self, contexts: NDArray[Any], question: NDArray[Any]) -> tuple[Array, Array]:
        parameters = self.parameters
        hidden = np.einsum("tcw,cw->tw", parameters["input"][contexts], parameters["position"])
        if len(question):
            hidden = hidden + parameters["question"] * parameters["input"][question].mean(axis=0)
        logits = hidden @ parameters["output"].T + parameters["bias"]
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return hidden, logits

    def _backward(
        self,
        contexts: NDArray[Any],
        question: NDArray[Any],
        hidden: Array,
        probabilities: Array,
        targets: NDArray[Any],
        responsibility: Array,
        gradients: Gradients,
    ) -> None:
        parameters = self.parameters
        error = probabilities * responsibility[:, None]
        error[np.arange(len(targets)), targets] -= responsibility
        gradients["bias"] += error.sum(axis=0)
        gradients["output"] += error.T @ hidden
        back = error @ parameters["output"]
        for place in range(CONTEXT):
            rows = contexts[:, place]
            np.add.at(gradients["input"], rows, back * parameters["position"][place])
            gradients["position"][place] += (back * parameters["input"][rows]).sum(axis=0)
        if len(question):
            total = back.sum(axis=0)
            mean = parameters["input"][question].mean(axis=0)
            gradients["question"] += total * mean
            np.add.at(gradients["input"], question, total * parameters["question"] / len(question))


def _sigmoid(value: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-value))
