"""The stand-in model: it learns, its losses are real, and the component's knobs do something."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from azureml_emulator.core.catalogue import pipeline_component
from azureml_emulator.training.chat_model import Sampling, from_folder, generate, to_folder
from azureml_emulator.training.conversation import Example, examples_of, tokens
from azureml_emulator.training.language_model import LanguageModel
from azureml_emulator.training.trainer import EXAMPLES, STEPS, Logged, Options, scheduled, train
from emulator_rest import conversation

DEFAULTS = {name: str(port.get("default", "")) for name, port in pipeline_component()["inputs"].items()}


def examples(count: int, start: int = 0) -> list[Example]:
    """One for each row."""
    return [
        one for number in range(start, start + count) for one in examples_of(conversation(number)["messages"])
    ]


def fit(count: int = 40, **inputs: Any) -> tuple[LanguageModel, list[Logged], dict[str, float]]:
    """A model of so many rows."""
    options = Options({**DEFAULTS, **{name: str(value) for name, value in inputs.items()}})
    return train(examples(count), examples(8, start=100), options)


def series(log: list[Logged], key: str) -> list[float]:
    """The values of one metric."""
    return [line.metrics[key] for line in log if key in line.metrics]


def test_losses_fall() -> None:
    """Training beats what it began with, and so does evaluation."""
    _, log, totals = fit(num_train_epochs=3, logging_steps=1)
    losses = series(log, "loss")
    assert losses[-1] < 0.2 * losses[0]
    assert series(log, "eval_loss")[-1] < losses[0]
    assert totals["train_loss"] == pytest.approx(sum(losses) / len(losses))


def test_the_loss_is_the_cross_entropy_of_a_proper_distribution() -> None:
    """Probabilities of the next token sum to one, and the loss is minus the logarithm of the right one's."""
    model, _, _ = fit()
    example = examples(1, start=7)[0]
    loss, count = model.loss(example)
    assert count == len(tokens(example.answer)) + 1
    assert loss > 0
    probabilities = model.next_probabilities(
        example.question, model.memory.neighbours(example.question), tokens(example.answer)[:3]
    )
    assert sum(probabilities.values()) <= 1 + 1e-5
    assert min(probabilities.values()) >= 0


def test_gradients_are_those_of_the_loss() -> None:
    """Each parameter's gradient agrees with a finite difference."""
    model, _, _ = fit(12)
    model.parameters = {name: array.astype(np.float64) for name, array in model.parameters.items()}  # type: ignore[misc]
    example = examples(1, start=200)[0]
    gradients = model.zero_gradients()
    model.loss(example, gradients)
    draw = np.random.default_rng(0)
    for name, array in model.parameters.items():
        flat, gradient = array.reshape(-1), gradients[name].reshape(-1)
        for place in [int(np.argmax(np.abs(gradient))), *draw.integers(0, len(flat), 2)]:
            kept = flat[place]
            step = 1e-3
            flat[place] = kept + step
            above, _ = model.loss(example)
            flat[place] = kept - step
            below, _ = model.loss(example)
            flat[place] = kept
            assert (above - below) / (2 * step) == pytest.approx(gradient[place], rel=0.05, abs=0.02), name


def test_the_seed_decides_everything() -> None:
    """The same seed gives the same losses; another gives others."""
    first, again, other = (series(fit(seed=seed)[1], "loss") for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("inputs", "steps"),
    [
        ({"num_train_epochs": 2}, 80),
        ({"per_device_train_batch_size": 8}, 5),
        ({"gradient_accumulation_steps": 4}, 10),
        ({"number_of_gpu_to_use_finetuning": 4, "num_nodes_finetune": 2}, 5),
        ({"max_steps": 7}, 7),
    ],
)
def test_steps_follow_epochs_and_batch(inputs: dict[str, int], steps: int) -> None:
    """One optimiser step for each batch over all devices, in each epoch."""
    assert fit(**inputs)[1][-1].step == steps


def test_a_learning_rate_of_nought_leaves_the_parameters_alone() -> None:
    """Only the memory fills."""
    model, _, _ = fit(learning_rate=0)
    untouched = LanguageModel.for_examples(examples(40), 42)
    for name, array in model.parameters.items():
        assert np.array_equal(array, untouched.parameters[name]), name


def test_the_learning_rate_that_is_logged_is_the_schedules() -> None:
    """Unscaled, and following the scheduler."""
    _, log, _ = fit(learning_rate=1e-5, lr_scheduler_type="cosine", logging_steps=1)
    rates = series(log, "learning_rate")
    assert rates[0] == 1e-5
    assert rates[20] == pytest.approx(0.5e-5, rel=0.01)
    assert rates[-1] < 1e-7


@pytest.mark.parametrize(
    ("name", "step", "share"),
    [
        ("linear", 0, 0.0),
        ("linear", 5, 0.5),
        ("linear", 10, 1.0),
        ("linear", 55, 0.5),
        ("cosine", 55, 0.5),
        ("constant", 0, 1.0),
        ("constant_with_warmup", 5, 0.5),
        ("constant_with_warmup", 90, 1.0),
        ("polynomial", 100, 0.0),
    ],
)
def test_schedules(name: str, step: int, share: float) -> None:
    """Ten steps of warm-up in a hundred."""
    assert scheduled(name, step, total=100, warmup=10) == pytest.approx(share)


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        ({"evaluation_strategy": "epoch", "num_train_epochs": 3}, 3),
        ({"evaluation_strategy": "steps", "eval_steps": 10}, 4),
        ({"evaluation_strategy": "disable"}, 0),
    ],
)
def test_evaluation_comes_when_asked_for(inputs: dict[str, Any], count: int) -> None:
    """After epochs, after steps, or never."""
    assert len(series(fit(**inputs)[1], "eval_loss")) == count


def test_early_stopping_stops() -> None:
    """A threshold that nothing can beat ends training at the second evaluation."""
    inputs = {"apply_early_stopping": "true", "early_stopping_threshold": 1e9, "num_train_epochs": 5}
    assert len(series(fit(**inputs)[1], "eval_loss")) == 2


def test_large_data_are_bounded() -> None:
    """However much is asked for, examples and steps stay within the bounds."""
    model, log, _ = train(examples(3 * EXAMPLES), [], Options({**DEFAULTS, "num_train_epochs": "50"}))
    assert len(model.memory.examples) == EXAMPLES
    assert log[-1].step == STEPS


def reply(model: LanguageModel, content: str, sampling: Sampling | None = None) -> str:
    """The model's whole reply to one message."""
    return "".join(generate(model, [{"role": "user", "content": content}], sampling or Sampling()))


def folder(model: LanguageModel) -> dict[str, bytes]:
    """The model's folder."""
    return to_folder(model, {"metadata": {"base_model_name": "base"}}, ["torch"], {})


def test_a_folder_gives_the_model_back() -> None:
    """The same replies before and after; half precision costs no words."""
    model, _, _ = fit()
    files = folder(model)
    again = from_folder(files)
    question = conversation(3)["messages"][0]["content"]
    assert reply(again, question) == reply(model, question)
    assert b"base_model_name: base" in files["MLmodel"]
    assert b"- torch" in files["conda.yaml"]


@pytest.mark.parametrize(
    "lost", ["data/model/weights.npz", "data/tokenizer/vocabulary.json", "data/model/memory.jsonl"]
)
def test_a_folder_with_a_file_missing_is_refused(lost: str) -> None:
    """Which one is told."""
    files = folder(fit()[0])
    del files[lost]
    with pytest.raises(ValueError, match=lost.replace(".", r"\.")):
        from_folder(files)


def test_replies_obey_their_parameters() -> None:
    """The most new tokens, and the same reply to the same request."""
    model, _, _ = fit()
    question = "Tell me about rivers and bread"
    sampled = Sampling(temperature=1.2, top_p=0.95, most_tokens=12)
    assert len(list(generate(model, [{"role": "user", "content": question}], Sampling(most_tokens=4)))) == 4
    assert reply(model, question, sampled) == reply(model, question, sampled)


def test_tokens_join_to_the_text() -> None:
    """Nothing is lost between text and tokens, whatever the script."""
    for text in ("Hello, world!", "Žluťoučký  kůň\n\n- é\t🙂 x", "", " a", "你好世界"):
        assert "".join(tokens(text)) == text


def test_a_model_that_knows_nothing_still_answers() -> None:
    """No memory, no words in common: some text, finite losses."""
    model = LanguageModel.for_examples(examples(3), 1)
    assert math.isfinite(model.loss(examples(1)[0])[0])
    assert isinstance(reply(model, "?", Sampling(most_tokens=5)), str)
