"""Open the run of an uploaded dataset, or note why an upload opens none."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.config import Settings
from shared.domain.fields import Problem
from shared.domain.run.ignored import PASSING, QUIET, IgnoredReason, reason_for_content, reason_for_name
from shared.domain.run.names import parse_upload, part_of_folder, run_id_for
from shared.domain.run.options import RunOptions
from shared.domain.run.parts import Failure, Source
from shared.domain.run.run import Run, enter, open_run
from shared.domain.run.run_json import OPTIONS_LIMIT_BYTES, override_options
from shared.domain.run.stages import Stage
from shared.domain.run.uploads import Unused, UploadedBlob, UploadedDataset, sort_uploads
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.ignored_uploads import forget_ignored, note_ignored
from shared.workflow.notifications import enqueue_stage_changes

_log = get_logger(__name__)


def take_upload(path: str, *, container: str, settings: Settings, services: Services) -> list[str]:
    """Open the run of the dataset that a blob is part of; the same version opens it once, however often told.

    Args:
        path: The blob's name in the uploads container: training data, or anything else.
        container: That container's name.
        settings: They hold where the upload's `run.json` says nothing.
        services: The ports.

    Returns:
        The runs, new or not: none for a blob that is gone or belongs to no dataset, several if its folder has
        several training files.
    """
    opened = []
    for found in sort_uploads(_beside(path, services)):
        if isinstance(found, UploadedDataset):
            opened += _take_dataset(found, container, settings, services)
        elif found.blob.path == path:
            _ignore(found.blob, reason_of(found), services)
    return opened


def reason_of(unused: Unused) -> IgnoredReason:
    """Why a blob belongs to no dataset."""
    if unused.instead is not None:
        return IgnoredReason.SUPERFLUOUS_FILE
    return reason_for_name(unused.blob.path)


def _beside(path: str, services: Services) -> Iterable[UploadedBlob]:
    """The blob, and in a folder of a dataset all that lies beside it."""
    part = part_of_folder(path)
    if part is not None:
        return services.uploads.folder(part.folder)
    blob = services.uploads.find(path)
    if blob is None:
        _log.info("upload ignored: it is gone", extra={"blob": path})
    return [blob] if blob is not None else []


def _take_dataset(
    dataset: UploadedDataset, container: str, settings: Settings, services: Services
) -> list[str]:
    unreadable = reason_for_content(dataset)
    if unreadable is not None:
        _ignore(*unreadable, services)
        return []
    return [_open(dataset, container, settings, services)]


def _ignore(blob: UploadedBlob, reason: IgnoredReason, services: Services) -> None:
    if reason not in PASSING or services.now() - blob.modified >= QUIET:
        note_ignored(blob, reason, services)


def _open(dataset: UploadedDataset, container: str, settings: Settings, services: Services) -> str:
    train = dataset.train
    upload = parse_upload(train.path)
    assert upload is not None, "only training files make a dataset"
    run_id = run_id_for(container, train.path, train.etag)
    extra = {"run_id": run_id, "blob": train.path, "etag": train.etag}
    options, problems = _options(dataset, settings, services)
    source = Source(container=container, files=(train.file, *(blob.file for blob in dataset.companions)))
    run = open_run(run_id, upload.dataset, source, options, services.now())
    run = msgspec.structs.replace(run, trace=services.telemetry.begin(run_id))
    if problems:
        run = _rejected(run, problems, services)
    enqueue_stage_changes(run, 0, services)
    if services.runs.create(run):
        _log.info("run opened", extra=extra)
        forget_ignored(dataset, services)
    else:
        _log.info("run is open already", extra=extra)
    return run_id


def _options(
    dataset: UploadedDataset, settings: Settings, services: Services
) -> tuple[RunOptions, list[Problem]]:
    defaults = settings.default_options()
    if dataset.options is None:
        return defaults, []
    text = services.uploads.read_small(dataset.options.file, OPTIONS_LIMIT_BYTES)
    return override_options(defaults, text, settings.bounds())


def _rejected(run: Run, problems: list[Problem], services: Services) -> Run:
    now = services.now()
    error = Failure(code="InvalidOptions", message="; ".join(map(str, problems)), stage=run.stage, at=now)
    return msgspec.structs.replace(enter(run, Stage.REJECTED, now, error))
