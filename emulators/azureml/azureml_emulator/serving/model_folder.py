"""The folder of a registered model as a container finds it below ``AZUREML_MODEL_DIR``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from azureml_emulator.core.asset_families import MODEL, by_id
from azureml_emulator.core.blob_locations import BlobLocation, location_of, output_location
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.serving.base_folder import base_folder
from azureml_emulator.training.chat_model import Files

_OUTPUT = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+?)(?:/paths/(?P<path>.*?))?/?")
COMPONENT_FOLDER = "mlflow_model_folder"


class ModelUnusableError(Exception):
    """The model cannot be loaded; the text says why."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files.

    Attributes:
        name: The folder's name: the last one of the path that was registered.
        files: Contents by path below that folder.
    """

    name: str
    files: Files

    @property
    def mlmodel(self) -> dict[str, Any]:
        """The ``MLmodel`` document; empty if there is none."""
        document = _yaml(self.files.get("MLmodel", b""))
        return document if isinstance(document, dict) else {}

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of ``MLmodel``."""
        found = self.mlmodel.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def pip_requirements(self) -> list[str]:
        """The pip requirements of ``conda.yaml``, which the platform installs at start."""
        document = _yaml(self.files.get("conda.yaml", b""))
        dependencies = document.get("dependencies") if isinstance(document, dict) else None
        groups = [one for one in dependencies or [] if isinstance(one, dict)]
        return [str(line) for group in groups for line in group.get("pip") or []]


def _yaml(data: bytes) -> Any:
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError:
        return None


def read_folder(state: EmulatorState, identifier: str) -> ModelFolder:
    """The files of the model that a deployment names.

    Raises:
        ModelUnusableError: It is a model that nobody publishes, or its files are not there.
    """
    asset = by_id(state, MODEL, identifier)
    if asset is None and (published := base_folder(state, identifier)) is not None:
        return ModelFolder(COMPONENT_FOLDER, published)
    if asset is None:
        raise ModelUnusableError(
            "the emulator serves published base models and those that its own fine-tuning wrote, not "
            f"'{identifier or 'no model'}'"
        )
    uri = asset.properties["modelUri"]
    found = _OUTPUT.fullmatch(uri)
    try:
        if found:
            location = output_location(state, found["job"], found["output"])
            location = location._replace(path=location.path + (found["path"] or ""))
        else:
            location = location_of(state, uri)
        files = _read(state, location)
    except (ValueError, LookupError, FileNotFoundError) as error:
        raise ModelUnusableError(f"cannot load {uri}: {error}") from error
    name = location.path.rstrip("/").rpartition("/")[2]
    if found and not found["path"] and state.switches.model_folder == COMPONENT_FOLDER:
        name = COMPONENT_FOLDER
    return ModelFolder(name, files)


def _read(state: EmulatorState, location: BlobLocation) -> Files:
    prefix = location.path.rstrip("/") + "/"
    accounts = state.accounts
    return {
        name.removeprefix(prefix): accounts.read(location.account, location.container, name)
        for name in accounts.names(location.account, location.container, prefix)
    }
