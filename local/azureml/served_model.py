"""From a registered model to one that answers: finds its folder and loads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local.azureml.asset_families import MODEL, by_id
from local.azureml.datastores import BLOB_STORE, Place, place_of
from local.azureml.training.chat_model import from_folder
from local.azureml.training.language_model import LanguageModel

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

_OUTPUT = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+?)(?:/paths/(?P<path>.*?))?/?")


class ModelUnusableError(Exception):
    """A container cannot serve the model; the text says why."""


def output_place(cloud: Cloud, job: str, output: str) -> Place:
    """Where a job keeps an output: in the default datastore, under its own name."""
    datastore = cloud.datastores.get(BLOB_STORE)
    assert datastore is not None  # every workspace is born with it
    properties = datastore.properties
    return Place(properties["accountName"], properties["containerName"], f"azureml/{job}/{output}/")


def load(cloud: Cloud, model_id: str) -> LanguageModel:
    """The model that a deployment names.

    Raises:
        ModelUnusableError: It is a base model, was never written, or was not written by this emulator.
    """
    asset = by_id(cloud, MODEL, model_id)
    if asset is None:
        raise ModelUnusableError(
            f"the emulator serves models that its own fine-tuning wrote, not '{model_id or 'no model'}'"
        )
    uri = asset.properties["modelUri"]
    found = _OUTPUT.fullmatch(uri)
    try:
        if found:
            place = output_place(cloud, found["job"], found["output"])
            place = place._replace(path=place.path + (found["path"] or ""))
        else:
            place = place_of(cloud, uri)
        prefix = place.path.rstrip("/") + "/"
        files = {
            name.removeprefix(prefix): cloud.storage.read(place.account, place.container, name)
            for name in cloud.storage.names(place.account, place.container, prefix)
        }
        return from_folder(files)
    except (ValueError, LookupError, FileNotFoundError) as error:
        raise ModelUnusableError(f"cannot load {uri}: {error}") from error
