"""Starts the container of a deployment, with whichever of the servers its image has."""

from __future__ import annotations

import json

from azureml_emulator.core.resources import Deployment
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.serving.container import Container, ContainerCrashedError
from azureml_emulator.serving.foundation_model_server import FoundationModelServer
from azureml_emulator.serving.generation import Served
from azureml_emulator.serving.images import VENDORED_COLLECTOR, Image, image_of
from azureml_emulator.serving.legacy_server import LegacyServer
from azureml_emulator.serving.mlflow_server import MlflowServer, check_requirements
from azureml_emulator.serving.model_folder import ModelFolder, ModelUnusableError, read_folder
from azureml_emulator.training.chat_model import CONFIG, from_folder

_MLFLOW_IMAGES = ("mlflow-model-inference", "mlflow-py312-inference")


def model_directory(name: str, version: str) -> str:
    """Where the platform mounts a model: ``AZUREML_MODEL_DIR``."""
    return f"/var/azureml-app/azureml-models/{name}/{version}"


def start(state: EmulatorState, key: str, deployment: Deployment) -> Container:
    """The container of a deployment, started.

    Raises:
        ContainerCrashedError: It does not start.
    """
    identifier = str(deployment.properties.get("model") or "")
    try:
        folder = read_folder(state, identifier)
        served = _served(state, key, folder)
    except (ModelUnusableError, ValueError) as error:
        raise ContainerCrashedError(str(error)) from error
    image = image_of(state, deployment, folder)
    environment = {
        name: str(value) for name, value in (deployment.properties.get("environmentVariables") or {}).items()
    }
    if not image.custom or state.switches.model_dir_injected:
        found = identifier.rpartition("/models/")[2] or identifier.removeprefix("azureml:")
        name, version = found.replace("/versions/", ":").split(":")
        environment.setdefault("AZUREML_MODEL_DIR", model_directory(name, version))
    if image.foundation_model:
        if "AZUREML_MODEL_DIR" not in environment:
            raise ContainerCrashedError("KeyError: 'AZUREML_MODEL_DIR'")
        instance = str(deployment.properties["instanceType"])
        container = FoundationModelServer(served, folder, image, environment, instance)
        container.engine_error = state.faults.engine_failure_of(key) or container.engine_error
        return container
    return _mlflow_server(state, served, folder, image, environment)


def _served(state: EmulatorState, key: str, folder: ModelFolder) -> Served:
    model = from_folder(folder.files)
    config = json.loads(folder.files.get(CONFIG, b"{}"))
    return Served(
        state=state,
        key=key,
        model=model,
        name=str(folder.metadata.get("base_model_name", "")),
        context=int(config.get("max_position_embeddings", 4096)),
    )


def _mlflow_server(
    state: EmulatorState, served: Served, folder: ModelFolder, image: Image, environment: dict[str, str]
) -> Container:
    if image.custom and image.name not in _MLFLOW_IMAGES:
        raise ContainerCrashedError(f"the emulator has no server for the image '{image.name}:{image.tag}'")
    if state.switches.score_script == "legacy":
        return LegacyServer(served)
    vendored = image.custom and 0 < image.tag <= VENDORED_COLLECTOR
    check_requirements(folder.pip_requirements, vendored_collector=vendored)
    return MlflowServer(served, environment)
