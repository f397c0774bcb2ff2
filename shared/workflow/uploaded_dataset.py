"""Find the dataset of an upload, and read its options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from shared.config import Settings
from shared.domain.fields import Problem
from shared.domain.run.names import part_of_folder
from shared.domain.run.options import RunOptions
from shared.domain.run.parts import Source
from shared.domain.run.run_json import OPTIONS_LIMIT_BYTES, options_as_given, override_options
from shared.domain.run.uploads import UploadedBlob, UploadedDataset, sort_uploads
from shared.ports import Services


def blobs_beside(path: str, services: Services) -> Iterable[UploadedBlob]:
    """The blob, and in a folder of a dataset all that lies beside it; nothing if it is gone."""
    part = part_of_folder(path)
    if part is not None:
        return services.uploads.folder(part.folder)
    blob = services.uploads.find(path)
    return [blob] if blob is not None else []


def find_dataset(path: str, services: Services) -> UploadedDataset | None:
    """The dataset of a training file as it is now, or None if the file is gone."""
    for found in sort_uploads(blobs_beside(path, services)):
        if isinstance(found, UploadedDataset) and found.train.path == path:
            return found
    return None


def source_of(container: str, dataset: UploadedDataset) -> Source:
    """What a run keeps of its upload."""
    files = (dataset.train.file, *(blob.file for blob in dataset.companions))
    options = dataset.options.file if dataset.options is not None else None
    return Source(container=container, files=files, options=options)


class ChosenOptions(NamedTuple):
    """The options of an upload.

    Attributes:
        options: The settings with the upload's `run.json` over them.
        problems: What is wrong with the `run.json`.
        given: What it says, if it can be used.
    """

    options: RunOptions
    problems: list[Problem]
    given: dict[str, Any]


def read_options(dataset: UploadedDataset, settings: Settings, services: Services) -> ChosenOptions:
    """Read the upload's `run.json` over the settings."""
    defaults = settings.default_options()
    if dataset.options is None:
        return ChosenOptions(defaults, [], {})
    text = services.uploads.read_small(dataset.options.file, OPTIONS_LIMIT_BYTES)
    options, problems = override_options(defaults, text, settings.bounds())
    return ChosenOptions(options, problems, {} if problems else options_as_given(text))
