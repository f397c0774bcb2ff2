"""vLLM in a workspace environment of our own: the image and its tag are settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.serving.deployment import Deployment, ServingEnvironment
from shared.domain.serving.record import OLD_OPENAI_ROUTE, OPENAI_ROUTE, SCORE_ROUTE
from shared.domain.serving.strategies.strategy import ServedModel, ServingOptions
from shared.domain.serving.strategies.vllm import folder_obstacle, vllm_variables


class VllmEnvironment:
    """See `Strategy`."""

    routes = (OPENAI_ROUTE, OLD_OPENAI_ROUTE, SCORE_ROUTE)
    # Images below tag 81 have no `/v1`.
    finetune_config: Mapping[str, Any] = {}

    def obstacle(self, model: ServedModel) -> str | None:
        """See `Strategy.obstacle`."""
        return folder_obstacle(model)

    def deployment(self, model: ServedModel, options: ServingOptions) -> Deployment:
        """See `Strategy.deployment`."""
        # With an environment of one's own, the platform was reported not to say where the model is.
        variables = {**vllm_variables(options), "AZUREML_MODEL_DIR": model.directory}
        return Deployment(ServingEnvironment(options.vllm_image), variables, options.concurrency)
