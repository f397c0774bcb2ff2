"""Open the run of an uploaded dataset, or note why an upload opens none."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from shared.config import Settings
from shared.domain.errors import CorruptRunError, NewerRecordError, UnknownRunError
from shared.domain.fields import Problem
from shared.domain.run.ignored import PASSING, QUIET, IgnoredReason, reason_for_content, reason_for_name
from shared.domain.run.names import parse_upload, run_id_for
from shared.domain.run.parts import Failure
from shared.domain.run.run import Run, enter, open_run
from shared.domain.run.stages import Stage
from shared.domain.run.upload_change import late_files
from shared.domain.run.uploads import (
    Unused,
    UploadCheck,
    UploadedBlob,
    UploadedDataset,
    settled_at,
    sort_uploads,
)
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.ignored_uploads import forget_ignored, note_ignored
from shared.workflow.notifications import enqueue_stage_changes
from shared.workflow.save_progress import update_run
from shared.workflow.uploaded_dataset import ChosenOptions, blobs_beside, read_options, source_of

_log = get_logger(__name__)


SLOWEST = timedelta(minutes=1)
"""An upload that keeps changing is looked at less and less often, but at least so often."""


def take_upload(
    path: str, *, container: str, settings: Settings, services: Services, attempt: int = 0
) -> list[str]:
    """Open the run of the dataset that a blob is part of; the same version opens it once, however often told.

    A dataset that was changed a moment ago, or that has an empty file, is looked at again later: a message on
    the queue `uploads` sees to that. Appends and property changes raise no events, so that only time tells.

    Args:
        path: The blob's name in the uploads container: training data, or anything else.
        container: That container's name.
        settings: They hold where the upload's `run.json` says nothing.
        services: The ports.
        attempt: How often this upload was looked at before.

    Returns:
        The runs, new or not: none for a blob that is gone, belongs to no dataset, or is not whole yet;
        several if its folder has several training files.
    """
    opened = []
    for found in sort_uploads(blobs_beside(path, services)):
        if isinstance(found, UploadedDataset):
            opened += _take_dataset(found, attempt, container, settings, services)
        elif found.blob.path == path:
            _ignore(found.blob, reason_of(found), attempt, services)
    return opened


def reason_of(unused: Unused) -> IgnoredReason:
    """Why a blob belongs to no dataset."""
    if unused.instead is not None:
        return IgnoredReason.SUPERFLUOUS_FILE
    return reason_for_name(unused.blob.path)


def _take_dataset(
    dataset: UploadedDataset, attempt: int, container: str, settings: Settings, services: Services
) -> list[str]:
    unreadable = reason_for_content(dataset)
    if unreadable is not None:
        _ignore(*unreadable, attempt, services)
        return []
    chosen = read_options(dataset, settings, services)
    settle = timedelta(seconds=chosen.options.settle_seconds)
    whole_at, now = settled_at(dataset, settle), services.now()
    if whole_at is not None and whole_at > now:
        delay = max(whole_at - now, min(attempt * settle, SLOWEST))
        _look_again(dataset.train, attempt, delay, services)
        return []
    return [_open(dataset, chosen, container, services)]


def _ignore(blob: UploadedBlob, reason: IgnoredReason, attempt: int, services: Services) -> None:
    quiet_in = blob.modified + QUIET - services.now()
    if reason in PASSING and quiet_in > timedelta():
        _look_again(blob, attempt, quiet_in, services)
    else:
        note_ignored(blob, reason, services)


def _look_again(blob: UploadedBlob, attempt: int, delay: timedelta, services: Services) -> None:
    extra = {"blob": blob.path, "attempt": attempt, "seconds": delay.total_seconds()}
    _log.info("upload is not whole yet", extra=extra)
    services.upload_checks.enqueue(UploadCheck(path=blob.path, attempt=attempt + 1), delay=delay)


def _open(
    dataset: UploadedDataset,
    chosen: ChosenOptions,
    container: str,
    services: Services,
) -> str:
    train = dataset.train
    upload = parse_upload(train.path)
    assert upload is not None, "only training files make a dataset"
    run_id = run_id_for(container, train.path, train.etag)
    extra = {"run_id": run_id, "blob": train.path, "etag": train.etag}
    run = open_run(run_id, upload.dataset, source_of(container, dataset), chosen.options, services.now())
    begun = services.telemetry.begin(run_id)
    run = msgspec.structs.replace(run, trace=begun.trace, given_options=chosen.given)
    if chosen.problems:
        run = _rejected(run, chosen.problems, services)
    enqueue_stage_changes(run, 0, services)
    if services.runs.create(run):
        begun.keep()
        _log.info("run opened", extra=extra)
        forget_ignored(dataset, services)
    else:
        _log.info("run is open already", extra=extra)
        _tell_late_files(run_id, dataset, services)
    return run_id


def _tell_late_files(run_id: str, dataset: UploadedDataset, services: Services) -> None:
    """Say of what came too late for its run that it is not used; until training starts, the run takes it."""
    try:
        run = services.runs.load(run_id).run
    except (CorruptRunError, NewerRecordError, UnknownRunError):
        return
    late = late_files(run.source, dataset)
    if not late or (run.stage in {Stage.RECEIVED, Stage.VALIDATED} and not run.billable):
        return
    if run.stage.at_rest:
        for blob in dataset.parts:
            if blob.path in late:
                note_ignored(blob, IgnoredReason.LATE_FILE, services)
        return

    def tell(run: Run) -> Run:
        requests = msgspec.structs.replace(run.requests, late_files=late)
        return msgspec.structs.replace(run, requests=requests)

    update_run(services.runs, run_id, tell)


def _rejected(run: Run, problems: list[Problem], services: Services) -> Run:
    now = services.now()
    error = Failure(code="InvalidOptions", message="; ".join(map(str, problems)), stage=run.stage, at=now)
    return msgspec.structs.replace(enter(run, Stage.REJECTED, now, error))
