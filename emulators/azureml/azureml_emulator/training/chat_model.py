"""Generates an answer token by token, and keeps a trained model as an MLflow model folder."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import yaml

from azureml_emulator.training.conversation import Example, question_of, tokens
from azureml_emulator.training.language_model import LanguageModel

MOST_NEW_TOKENS = 1024
TOKENS_PER_MESSAGE = 4
"""What role and separators of a message add to a prompt."""

_END = "</s>"
_WEIGHTS, _MEMORY = "data/model/weights.npz", "data/model/memory.jsonl"
_VOCABULARY = "data/tokenizer/vocabulary.json"
CONFIG = "data/config/config.json"

Files = dict[str, bytes]
"""Contents by relative path."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen: the most probable ones at temperature 0, drawn from the nucleus above it."""

    temperature: float = 0.0
    top_p: float = 1.0
    most_tokens: int = MOST_NEW_TOKENS
    seed: int | None = None


def generate(model: LanguageModel, messages: list[dict[str, Any]], sampling: Sampling) -> Iterator[str]:
    """The tokens of the model's reply, one by one; fewer than ``most_tokens`` if the reply is at its end.

    The same conversation and sampling give the same reply: the draw is seeded with them.
    """
    identity = [messages, sampling.temperature, sampling.top_p, sampling.most_tokens, sampling.seed]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).digest()
    draw = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    question = question_of(messages)
    neighbours = model.memory.neighbours(question)
    said: list[str] = []
    while len(said) < min(sampling.most_tokens, MOST_NEW_TOKENS):
        probabilities = model.next_probabilities(question, neighbours, said)
        if sampling.temperature <= 0:
            token = max(probabilities, key=probabilities.__getitem__)
        else:
            token = _drawn(probabilities, sampling.temperature, sampling.top_p, draw)
        if token == _END:
            return
        said.append(token)
        # The first word of an answer has a blank before it in the vocabulary.
        yield token.lstrip() if len(said) == 1 else token


def prompt_tokens(messages: list[dict[str, Any]]) -> int:
    """Tokens of a conversation, by the model's own tokenizer."""
    return sum(len(tokens(str(message.get("content", "")))) + TOKENS_PER_MESSAGE for message in messages)


def _drawn(
    probabilities: dict[str, float], temperature: float, top_p: float, draw: np.random.Generator
) -> str:
    """A token of the nucleus, drawn at a temperature."""
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])[:200]
    weights = np.array([probability for _, probability in ordered]) ** (1 / temperature)
    weights /= weights.sum()
    kept = int(np.searchsorted(np.cumsum(weights), min(top_p, 1.0))) + 1
    weights = weights[:kept] / weights[:kept].sum()
    return ordered[int(draw.choice(len(weights), p=weights))][0]


def to_folder(model: LanguageModel, mlmodel: dict[str, Any], requirements: list[str], config: Any) -> Files:
    """The files of an MLflow model folder, by relative path.

    Args:
        model: What was trained.
        mlmodel: The ``MLmodel`` document.
        requirements: Lines of ``requirements.txt``, which ``conda.yaml`` repeats.
        config: The model's ``config.json``.
    """
    arrays = io.BytesIO()
    halves: dict[str, Any] = {name: array.astype(np.float16) for name, array in model.parameters.items()}
    np.savez_compressed(arrays, **halves)
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": ["python=3.10.15", "pip", {"pip": requirements}],
    }
    return {
        "MLmodel": yaml.safe_dump(mlmodel, sort_keys=False).encode(),
        "conda.yaml": yaml.safe_dump(conda, sort_keys=False).encode(),
        "requirements.txt": "".join(f"{line}\n" for line in requirements).encode(),
        CONFIG: msgspec.json.encode(config),
        _WEIGHTS: arrays.getvalue(),
        _VOCABULARY: msgspec.json.encode(model.vocabulary),
        _MEMORY: b"\n".join(msgspec.json.encode(example) for example in model.memory.examples),
    }


def from_folder(files: Files) -> LanguageModel:
    """The model that a folder keeps.

    Raises:
        ValueError: The folder was not written by ``to_folder``.
    """
    try:
        model = LanguageModel(msgspec.json.decode(files[_VOCABULARY], type=list[str]), seed=0)
        with np.load(io.BytesIO(files[_WEIGHTS])) as arrays:
            model.parameters = {name: arrays[name].astype(np.float32) for name in arrays.files}
        for line in files[_MEMORY].splitlines():
            model.memory.add(msgspec.json.decode(line, type=Example))
    except KeyError as error:
        raise ValueError(
            f"the model folder lacks {error.args[0]}; the emulator serves models of its own fine-tuning only"
        ) from None
    return model
