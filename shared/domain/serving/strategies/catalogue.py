"""All strategies by name, in what order they are tried, and what they need of training together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.domain.serving.record import StrategyName
from shared.domain.serving.strategies.mlflow import Mlflow
from shared.domain.serving.strategies.strategy import Strategy
from shared.domain.serving.strategies.vllm_environment import VllmEnvironment
from shared.domain.serving.strategies.vllm_model_image import VllmModelImage

STRATEGIES: Mapping[StrategyName, Strategy] = {
    StrategyName.VLLM_ENVIRONMENT: VllmEnvironment(),
    StrategyName.VLLM_MODEL_IMAGE: VllmModelImage(),
    StrategyName.MLFLOW: Mlflow(),
}


def order_of(names: Iterable[StrategyName], worked: StrategyName | None) -> tuple[StrategyName, ...]:
    """The strategies to try: the one that worked for the base model last time first, if it is among them."""
    listed = tuple(names)
    if worked not in listed:
        return listed
    return (worked, *(name for name in listed if name is not worked))


def finetune_config(names: Iterable[StrategyName]) -> dict[str, Any]:
    """The fine-tune configuration that a model needs to be served by any of the strategies."""
    merged: dict[str, Any] = {}
    for name in names:
        merged |= STRATEGIES[name].finetune_config
    return merged
