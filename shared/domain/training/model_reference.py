"""How a base model is named, and by which input of the training component it is handed over."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple


class ModelInput(StrEnum):
    """Inputs of the training component, of which a job gives one."""

    MLFLOW = "mlflow_model_path"
    # A model with an `MLmodel` file, as Microsoft publishes its base models.
    PYTORCH = "pytorch_model_path"
    # A custom model: the plain files of Hugging Face's format.
    HUGGINGFACE = "huggingface_id"
    # The job downloads it from the hub, for which its cluster needs a way out.


class ModelReference(NamedTuple):
    """A base model as `BASE_MODEL` or a `run.json` names it.

    Attributes:
        registry: None is the registry of the settings.
        name: In its registry or workspace, or `<owner>/<name>` on the hub.
        version: None is the newest.
        in_workspace: It is a model of the app's own workspace.
    """

    name: str
    version: str | None = None
    registry: str | None = None
    on_hub: bool = False
    in_workspace: bool = False


_ADDRESS = re.compile(r"azureml://registries/([^/]+)/models/([^/]+)(?:/versions/([^/]+))?")


def read_reference(text: str) -> ModelReference:
    """Read a reference whose form was checked already (`RunOptions.base_model`)."""
    if text.startswith("hf:"):
        return ModelReference(text.removeprefix("hf:"), on_hub=True)
    if (address := _ADDRESS.fullmatch(text)) is not None:
        return ModelReference(address[2], address[3], registry=address[1])
    if in_workspace := text.startswith("azureml:"):
        text = text.removeprefix("azureml:")
    name, _, version = text.partition(":")
    return ModelReference(name, version or None, in_workspace=in_workspace)
