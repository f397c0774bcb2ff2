"""Fits the language model, with the knobs and the log of the Hugging Face trainer.

Honoured: epochs, steps, batch size, accumulation, GPUs and nodes, learning rate, scheduler and warm-up,
AdamW's betas, epsilon and weight decay, gradient clipping, seed, logging and evaluation intervals, early
stopping.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from azureml_emulator.training.conversation import Example, tokens
from azureml_emulator.training.language_model import Gradients, LanguageModel

LEARNING_RATE_SCALE = 3000.0
"""Billions of parameters learn at a rate of 5e-6; some ten thousand need 0.015 for the same effect."""

EXAMPLES = 400
STEPS = 600
EVALUATION_EXAMPLES = 60
"""Bounds that keep any job to seconds; larger data are sampled by the seed."""

_TURN = threading.Lock()
"""One job trains at a time: two at once are no faster in one interpreter, and its BLAS has one limit."""


class Logged(NamedTuple):
    """One line of the training log: metrics at a step, and how far through the training that was (0 to 1)."""

    step: int
    share: float
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Options:
    """The component's inputs, read."""

    inputs: Mapping[str, str]

    def number(self, name: str) -> float:
        """A number."""
        return float(self.inputs[name])

    def whole(self, name: str) -> int:
        """A whole number."""
        return int(float(self.inputs[name]))

    def on(self, name: str) -> bool:
        """Whether a switch is ``true``."""
        return self.inputs[name] == "true"

    @property
    def batch(self) -> int:
        """Examples that one optimiser step sees."""
        devices = self.whole("number_of_gpu_to_use_finetuning") * self.whole("num_nodes_finetune")
        return (
            self.whole("per_device_train_batch_size")
            * max(1, self.whole("gradient_accumulation_steps"))
            * devices
        )


def passed_tokens(training: list[Example], options: Options) -> int:
    """How many tokens a training goes through, all of its examples in each epoch, sampled or not."""
    count = sum(len(example.question) + len(tokens(example.answer)) for example in training)
    steps = options.whole("max_steps")
    if steps > 0:
        return round(count * steps * options.batch / max(1, len(training)))
    return round(count * options.number("num_train_epochs"))


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    def __init__(self, model: LanguageModel, options: Options) -> None:
        self._model = model
        self._betas = options.number("adam_beta1"), options.number("adam_beta2")
        self._epsilon = options.number("adam_epsilon")
        self._decay = options.number("weight_decay")
        self._clip = options.number("max_grad_norm")
        self._first, self._second = model.zero_gradients(), model.zero_gradients()
        self._steps = 0

    def step(self, gradients: Gradients, rate: float) -> float:
        """Changes the parameters; returns the gradients' norm before clipping."""
        self._steps += 1
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))
        clip = min(1.0, self._clip / (norm + 1e-6)) if self._clip > 0 else 1.0
        beta1, beta2 = self._betas
        correction1, correction2 = 1 - beta1**self._steps, 1 - beta2**self._steps
        for name, parameter in self._model.parameters.items():
            gradient = gradients[name] * clip
            first, second = self._first[name], self._second[name]
            first += (1 - beta1) * (gradient - first)
            second += (1 - beta2) * (gradient * gradient - second)
            change = (first / correction1) / (np.sqrt(second / correction2) + self._epsilon)
            np.subtract(parameter * (1 - rate * self._decay), rate * change, out=parameter)
        return norm


def scheduled(name: str, step: int, total: int, warmup: int) -> float:
    """The share of the learning rate that a scheduler gives to a step, counted from 0."""
    if name == "constant":
        return 1.0
    if step < warmup:
        return step / max(1, warmup)
    if name == "constant_with_warmup":
        return 1.0
    progress = (step - warmup) / max(1, total - warmup)
    if name.startswith("cosine"):
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return max(0.0, 1 - progress)


def train(
    training: list[Example], validation: list[Example], options: Options
) -> tuple[LanguageModel, list[Logged], dict[str, float]]:
    """Fits a model.

    Args:
        training: What to learn from; sampled down to ``EXAMPLES``.
        validation: What ``eval_loss`` is computed on; may be empty.
        options: The component's inputs.

    Returns:
        The model, its log, and the totals that the trainer reports at the end.
    """
    # Cores that share matrices as small as these wait for one another: ten times the work.
    with _TURN, threadpool_limits(limits=1, user_api="blas"):
        return _Run(training, validation, options).train()


class _Run:
    def __init__(self, training: list[Example], validation: list[Example], options: Options) -> None:
        self._options = options
        self._draw = np.random.default_rng(options.whole("seed"))
        self._training = self._sample(training, EXAMPLES)
        self._validation = self._sample(validation, EVALUATION_EXAMPLES)
        self._model = LanguageModel.for_examples(self._training, options.whole("seed"))
        self._optimizer = AdamW(self._model, options)
        self._steps_per_epoch = math.ceil(len(self._training) / options.batch)
        asked = options.whole("max_steps")
        planned = asked if asked > 0 else self._steps_per_epoch * options.whole("num_train_epochs")
        self._total = min(planned, STEPS)
        self._log: list[Logged] = []
        self._best, self._patience = math.inf, 0
        self._stopped = False

    def train(self) -> tuple[LanguageModel, list[Logged], dict[str, float]]:
        began = time.perf_counter()
        step, losses, seen = 0, [], 0
        recent: list[float] = []
        while step < self._total and not self._stopped:
            for batch in self._epoch():
                rate = self._rate(step)
                loss, norm = self._step(batch, rate)
                step += 1
                seen += len(batch)
                losses.append(loss)
                recent.append(loss)
                if self._logs_at(step):
                    mean = sum(recent) / len(recent)
                    self._note(step, {"loss": mean, "learning_rate": rate, "grad_norm": norm})
                    recent.clear()
                if self._evaluates_at(step):
                    self._evaluate(step)
                if step >= self._total or self._stopped:
                    break
        seconds = time.perf_counter() - began
        totals = {
            "train_loss": sum(losses) / max(1, len(losses)),
            "train_runtime": seconds,
            "train_samples_per_second": seen / seconds,
            "train_steps_per_second": step / seconds,
        }
        self._note(step, totals)
        return self._model, self._log, totals

    def _sample(self, examples: list[Example], most: int) -> list[Example]:
        if len(examples) <= most:
            return examples
        chosen = sorted(self._draw.choice(len(examples), most, replace=False))
        return [examples[index] for index in chosen]

    def _epoch(self) -> list[list[Example]]:
        order = self._draw.permutation(len(self._training))
        size = self._options.batch
        return [
            [self._training[index] for index in order[start : start + size]]
            for start in range(0, len(order), size)
        ]

    def _rate(self, step: int) -> float:
        """The rate as it is logged; the optimiser's is scaled."""
        name, warmup = self._options.inputs["lr_scheduler_type"], self._options.whole("warmup_steps")
        return self._options.number("learning_rate") * scheduled(name, step, self._total, warmup)

    def _step(self, batch: list[Example], rate: float) -> tuple[float, float]:
        """One optimiser step. An answer enters the memory only after its loss was taken."""
        gradients = self._model.zero_gradients()
        total, count = 0.0, 0
        for example in batch:
            loss, size = self._model.loss(example, gradients)
            total, count = total + loss, count + size
        gradients = {name: gradient / np.float32(count) for name, gradient in gradients.items()}
        norm = self._optimizer.step(gradients, rate * LEARNING_RATE_SCALE)
        if len(self._model.memory.examples) < len(self._training):
            for example in batch:
                self._model.memory.add(example)
        return total / count, norm

    def _logs_at(self, step: int) -> bool:
        if self._options.inputs["logging_strategy"] == "epoch":
            return step % self._steps_per_epoch == 0
        return step % max(1, self._options.whole("logging_steps")) == 0

    def _evaluates_at(self, step: int) -> bool:
        strategy = self._options.inputs["evaluation_strategy"]
        if strategy == "disable" or not self._validation:
            return False
        if strategy == "epoch":
            return step % self._steps_per_epoch == 0 or step == self._total
        return step % max(1, self._options.whole("eval_steps")) == 0

    def _evaluate(self, step: int) -> None:
        began = time.perf_counter()
        total, count = 0.0, 0
        for example in self._validation:
            loss, size = self._model.loss(example)
            total, count = total + loss, count + size
        seconds = time.perf_counter() - began
        loss = total / count
        speed = {
            "eval_runtime": seconds,
            "eval_samples_per_second": len(self._validation) / seconds,
            "eval_steps_per_second": len(self._validation) / seconds,
        }
        self._note(step, {"eval_loss": loss, **speed})
        if loss < self._best - self._options.number("early_stopping_threshold"):
            self._best, self._patience = loss, 0
        else:
            self._patience += 1
        if self._options.on("apply_early_stopping"):
            self._stopped = self._patience >= self._options.whole("early_stopping_patience")

    def _note(self, step: int, metrics: dict[str, float]) -> None:
        epoch = step / self._steps_per_epoch
        self._log.append(Logged(step, step / self._total, {**metrics, "epoch": epoch}))
