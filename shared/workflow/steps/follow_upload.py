"""Follow an upload that changed before training started: read it anew, or give way to its successor."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from shared.config import Settings
from shared.domain.errors import InvalidRunError
from shared.domain.run.observation import Observation
from shared.domain.run.run import Run
from shared.domain.run.upload_change import UploadChange
from shared.domain.run.uploads import UploadCheck
from shared.ports import Services
from shared.workflow.uploaded_dataset import find_dataset, read_options, source_of


def reopen(run: Run, seen: Observation, settings: Settings, services: Services) -> Run:
    """Take up the files and options that are there now; what was found in the former ones is forgotten.

    Raises:
        InvalidRunError: The new `run.json` cannot be used.
    """
    dataset = find_dataset(run.source.files[0].path, services)
    if dataset is None:
        return run
    options, problems, given = read_options(dataset, settings, services)
    if problems:
        raise InvalidRunError("; ".join(map(str, problems)), code="InvalidOptions")
    if seen.upload is None or seen.upload.change is not UploadChange.RETAGGED:
        services.datasets.delete_checkpoint(run.run_id)
    return msgspec.structs.replace(
        run,
        source=source_of(run.source.container, dataset),
        options=options,
        given_options=given,
        report=None,
        smoke_sample=(),
        plan=None,
        quote=None,
        claimed=False,
    )


def supersede(run: Run, services: Services) -> Run:
    """Give way to the newer upload; its event opens its run, or else the message that is queued here does."""
    services.upload_checks.enqueue(UploadCheck(path=run.source.files[0].path), delay=timedelta())
    return msgspec.structs.replace(run, superseded=True)
