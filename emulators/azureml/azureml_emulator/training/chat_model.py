"""Answers a conversation with a trained model, and keeps one as an MLflow model folder."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import msgspec
import numpy as np

from azureml_emulator.training.conversation import Example, question_of
from azureml_emulator.training.language_model import LanguageModel

MOST_NEW_TOKENS = 1024
_END = "</s>"
_FLAVOR = "local_chat"


def answer(model: LanguageModel, messages: list[dict[str, Any]], parameters: dict[str, Any]) -> str:
    """The model's reply.

    The same conversation and parameters give the same reply: the draw is seeded with them.

    Args:
        model: What answers.
        messages: The conversation, oldest first.
        parameters: ``temperature``, ``top_p``, ``do_sample``, ``max_new_tokens``; others are ignored, as the
            served model ignores what its generation config does not know.
    """
    text = json.dumps([messages, parameters], sort_keys=True, ensure_ascii=False)
    draw = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
    temperature = float(parameters.get("temperature", 1.0))
    greedy = not parameters.get("do_sample", False) or temperature <= 0
    most = min(int(parameters.get("max_new_tokens", 256)), MOST_NEW_TOKENS)
    question = question_of(messages)
    neighbours = model.memory.neighbours(question)
    said: list[str] = []
    while len(said) < most:
        chances = model.next_chances(question, neighbours, said)
        token = max(chances, key=chances.__getitem__) if greedy else None
        if token is None:
            token = _drawn(chances, temperature, float(parameters.get("top_p", 1.0)), draw)
        if token == _END:
            break
        said.append(token)
    return "".join(said).strip()


def _drawn(chances: dict[str, float], temperature: float, top_p: float, draw: np.random.Generator) -> str:
    """A token of the nucleus, drawn at a temperature."""
    ordered = sorted(chances.items(), key=lambda item: -item[1])[:200]
    weights = np.array([chance for _, chance in ordered]) ** (1 / temperature)
    weights /= weights.sum()
    kept = int(np.searchsorted(np.cumsum(weights), min(top_p, 1.0))) + 1
    weights = weights[:kept] / weights[:kept].sum()
    return ordered[int(draw.choice(len(weights), p=weights))][0]


def to_folder(model: LanguageModel, base_model: str, run_id: str) -> dict[str, bytes]:
    """The files of an MLflow model folder, by relative path."""
    arrays = io.BytesIO()
    halves: dict[str, Any] = {name: array.astype(np.float16) for name, array in model.parameters.items()}
    np.savez_compressed(arrays, **halves)
    description = "\n".join(
        (
            "artifact_path: mlflow_model_folder",
            "flavors:",
            f"  {_FLAVOR}:",
            "    data: data",
            f"    base_model: {base_model}",
            "    task: chat-completion",
            "mlflow_version: 2.9.2",
            f"run_id: {run_id}",
            "metadata:",
            "  is_finetuned_model: true",
            "",
        )
    )
    return {
        "MLmodel": description.encode(),
        "requirements.txt": b"numpy\n",
        "data/weights.npz": arrays.getvalue(),
        "data/vocabulary.json": msgspec.json.encode(model.vocabulary),
        "data/memory.jsonl": b"\n".join(msgspec.json.encode(example) for example in model.memory.examples),
    }


def from_folder(files: dict[str, bytes]) -> LanguageModel:
    """The model a folder keeps.

    Raises:
        ValueError: The folder is not one that ``to_folder`` wrote.
    """
    if f"  {_FLAVOR}:" not in files.get("MLmodel", b"").decode(errors="replace"):
        raise ValueError(f"MLmodel has no flavor {_FLAVOR}, which is the one this emulator serves")
    try:
        model = LanguageModel(msgspec.json.decode(files["data/vocabulary.json"], type=list[str]), seed=0)
        with np.load(io.BytesIO(files["data/weights.npz"])) as arrays:
            model.parameters = {name: arrays[name].astype(np.float32) for name in arrays.files}
        for line in files["data/memory.jsonl"].splitlines():
            model.memory.add(msgspec.json.decode(line, type=Example))
    except KeyError as error:
        raise ValueError(f"the model folder lacks {error.args[0]}") from None
    return model
