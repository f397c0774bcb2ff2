"""What every way to serve a model is to the rest of the app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from shared.domain.serving.deployment import Deployment
from shared.domain.serving.record import Route, StrategyName

MODEL_FOLDER = "mlflow_model_folder"
"""The folder that the vLLM image looks for below `AZUREML_MODEL_DIR`, and the pipeline output's name, since
the registered model keeps the last folder of its path."""


class ServedModel(NamedTuple):
    """The registered model that is to be served.

    Attributes:
        folder: Last folder of its path.
        image_kept: Whether its metadata may name the vLLM image: training was told to keep it.
    """

    name: str
    version: str
    folder: str
    image_kept: bool

    @property
    def directory(self) -> str:
        """Where Azure ML mounts it (source: "Model specification for online deployment")."""
        return f"/var/azureml-app/azureml-models/{self.name}/{self.version}"


class ServingOptions(NamedTuple):
    """What the operator chooses.

    Attributes:
        order: The strategies to try.
        concurrency: Requests that one instance works on at once, where the server can.
        max_model_len: Tokens of prompt and reply that vLLM makes room for; None: the model's own number.
        tensor_parallel: GPUs that vLLM spreads the model over; None: the image decides.
        variables: More variables of the container's environment.
    """

    order: tuple[StrategyName, ...]
    vllm_image: str
    mlflow_image: str
    concurrency: int
    max_model_len: int | None = None
    tensor_parallel: int | None = None
    variables: Mapping[str, str] = {}


class Strategy(Protocol):
    """One way to serve a fine-tuned model."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """How its server may be talked to, the best first; the smoke test settles which."""

    @property
    def finetune_config(self) -> Mapping[str, Any]:
        """What training must be told so that the trained model can be served like this."""

    def obstacle(self, model: ServedModel) -> str | None:
        """Why the model cannot be served like this, if that is known before trying."""

    def deployment(self, model: ServedModel, options: ServingOptions) -> Deployment:
        """What to ask Azure ML for."""
