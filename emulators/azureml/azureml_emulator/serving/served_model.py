"""Loads a registered model from its folder."""

from __future__ import annotations

import re

from azureml_emulator.core.asset_families import MODEL, by_id
from azureml_emulator.core.blob_locations import location_of, output_location
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.training.chat_model import from_folder
from azureml_emulator.training.language_model import LanguageModel

_OUTPUT = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+?)(?:/paths/(?P<path>.*?))?/?")


class ModelUnusableError(Exception):
    """The model cannot be loaded; the text says why."""


def load(state: EmulatorState, model_id: str) -> LanguageModel:
    """The model that a deployment names.

    Raises:
        ModelUnusableError: It is a base model, was never written, or was not written by this emulator.
    """
    asset = by_id(state, MODEL, model_id)
    if asset is None:
        raise ModelUnusableError(
            f"the emulator serves models that its own fine-tuning wrote, not '{model_id or 'no model'}'"
        )
    uri = asset.properties["modelUri"]
    found = _OUTPUT.fullmatch(uri)
    try:
        if found:
            location = output_location(state, found["job"], found["output"])
            location = location._replace(path=location.path + (found["path"] or ""))
        else:
            location = location_of(state, uri)
        prefix = location.path.rstrip("/") + "/"
        files = {
            name.removeprefix(prefix): state.accounts.read(location.account, location.container, name)
            for name in state.accounts.names(location.account, location.container, prefix)
        }
        return from_folder(files)
    except (ValueError, LookupError, FileNotFoundError) as error:
        raise ModelUnusableError(f"cannot load {uri}: {error}") from error
