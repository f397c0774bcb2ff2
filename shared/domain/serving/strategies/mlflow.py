"""Azure ML's MLflow server: one conversation at a time, no streams, no count of tokens.

Its score script imports packages that a fine-tuned model's own environment lacks since December 2025, so that
training is told to list them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.serving.deployment import Deployment, ServingEnvironment
from shared.domain.serving.record import BATCH_ROUTE
from shared.domain.serving.strategies.strategy import ServedModel, ServingOptions

REQUIREMENTS = ["azureml-ai-monitoring", "azureml-inference-server-http>=1.4.1"]
"""What the score script imports; servers below 1.4 import one package more, which nobody lists
(source: azureml-assets, `mlflow_score_script.py` of 2025-11-20)."""


class Mlflow:
    """See `Strategy`."""

    routes = (BATCH_ROUTE,)
    finetune_config: Mapping[str, Any] = {
        "mlflow_ft_conf": {"mlflow_save_model_kwargs": {"extra_pip_requirements": REQUIREMENTS}}
    }

    def obstacle(self, model: ServedModel) -> str | None:
        """See `Strategy.obstacle`."""
        del model
        return None

    def deployment(self, model: ServedModel, options: ServingOptions) -> Deployment:
        """See `Strategy.deployment`.

        Without an environment Azure ML would take the vLLM image again if the model's metadata name it.
        """
        # A second worker would load the model a second time.
        variables = {**options.variables, "WORKER_COUNT": "1"}
        if not model.image_kept:
            return Deployment(None, variables, 1)
        variables |= {"AZUREML_MODEL_DIR": model.directory, "MLFLOW_MODEL_FOLDER": model.folder}
        return Deployment(ServingEnvironment(options.mlflow_image), variables, 1)
