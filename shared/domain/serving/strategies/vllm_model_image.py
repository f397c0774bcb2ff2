"""vLLM without an environment: the model's own metadata name the image (`azureml.base_image`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.serving.deployment import Deployment
from shared.domain.serving.record import OLD_OPENAI_ROUTE, OPENAI_ROUTE, SCORE_ROUTE
from shared.domain.serving.strategies.strategy import ServedModel, ServingOptions
from shared.domain.serving.strategies.vllm import folder_obstacle, vllm_variables


class VllmModelImage:
    """See `Strategy`. The base model decides on the tag: Phi-4's has no `/v1`."""

    routes = (OPENAI_ROUTE, OLD_OPENAI_ROUTE, SCORE_ROUTE)
    finetune_config: Mapping[str, Any] = {"inferencing_config": {"enable_vllm": True}}

    def obstacle(self, model: ServedModel) -> str | None:
        """See `Strategy.obstacle`."""
        if not model.image_kept:
            return (
                "training was not told to keep the vLLM image in the model's metadata: the component has no "
                "input finetune_config_path"
            )
        return folder_obstacle(model)

    def deployment(self, model: ServedModel, options: ServingOptions) -> Deployment:
        """See `Strategy.deployment`."""
        del model
        return Deployment(None, vllm_variables(options), options.concurrency)
