"""Open the runs of uploads that no event opened, and note the uploads that open none.

An event can get lost, and the app can be down for longer than Event Grid keeps one, which is a day.
"""

from __future__ import annotations

from datetime import timedelta

from shared.config import Settings
from shared.domain.errors import FinetuneError
from shared.domain.run.ignored import PASSING, QUIET, IgnoredReason, IgnoredUpload, reason_for_content
from shared.domain.run.index import IndexEntry
from shared.domain.run.names import run_id_for
from shared.domain.run.upload_change import content_key, parts_key
from shared.domain.run.uploads import Unused, UploadedBlob, UploadedDataset, sort_uploads
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.ignored_uploads import keep_ignored
from shared.workflow.open_run import reason_of, take_upload

LOOKS_BACK = timedelta(days=7)
"""Older uploads open no run by themselves: they were there before the app was, and training costs money."""

MOST_OPENED = 100
"""Runs opened at one tick; the next tick opens the others."""

MOST_NOTED = 500
"""Ignored uploads noted at one tick; the next tick notes the others."""

_log = get_logger(__name__)


def reconcile_uploads(*, container: str, settings: Settings, services: Services) -> list[str]:
    """Compare a listing of the uploads with the index of runs, and with what is known to be ignored.

    No blob is asked about by itself, unless its run is missing.

    Returns:
        The runs that were opened, to be advanced.
    """
    runs = {entry.run_id: entry for entry in services.runs.entries()}
    contents = {entry.content for entry in runs.values()}
    lost: list[str] = []
    late: list[str] = []
    ignored: dict[str, IgnoredUpload] = {}
    unlisted: list[str] = []
    for found in sort_uploads(services.uploads.every(unlisted=unlisted)):
        if isinstance(found, Unused):
            blob, reason = found.blob, reason_of(found)
        elif (entry := runs.get(run_id_for(container, found.train.path, found.train.etag))) is not None:
            if not (newer := _late_parts(found, entry)):
                continue
            if entry.stage is None or not entry.stage.at_rest:
                late += [found.train.path] if entry.attention is None else []
                continue
            blob, reason = newer[0], IgnoredReason.LATE_FILE
        elif content_key(found.train.file) in contents:
            # Only its properties were changed since its run was opened.
            continue
        elif (verdict := _verdict(found, services)) is not None:
            blob, reason = verdict
        else:
            lost.append(found.train.path)
            continue
        if not _may_pass(blob, reason, services):
            upload = IgnoredUpload(blob.path, blob.etag, blob.size, reason, services.now())
            ignored[upload.id] = upload
    if unlisted:
        _log.error(
            "storage cannot list some uploads, which open no run now: delete the blob with the odd name",
            extra={"prefixes": unlisted},
        )
    _keep(ignored, services, whole=not unlisted)
    found_runs = (*lost[:MOST_OPENED], *late[:MOST_OPENED])
    opened = [_open(path, container, settings, services) for path in found_runs]
    return [run_id for runs_of_one in opened for run_id in runs_of_one]


def _late_parts(dataset: UploadedDataset, entry: IndexEntry) -> list[UploadedBlob]:
    """Companions and options that a run does not have, and that came after it was opened."""
    if entry.opened is None or entry.parts == parts_key(blob.file for blob in dataset.parts):
        return []
    opened = entry.opened
    return [blob for blob in dataset.parts if blob.size > 0 and blob.modified > opened]


def _verdict(dataset: UploadedDataset, services: Services) -> tuple[UploadedBlob, IgnoredReason] | None:
    """Why a dataset that has no run is to have none; None if one is to be opened."""
    unreadable = reason_for_content(dataset)
    if unreadable is None and services.now() - dataset.train.modified > LOOKS_BACK:
        return dataset.train, IgnoredReason.TOO_OLD
    return unreadable


def _may_pass(blob: UploadedBlob, reason: IgnoredReason, services: Services) -> bool:
    return reason in PASSING and services.now() - blob.modified < QUIET


def _keep(ignored: dict[str, IgnoredUpload], services: Services, *, whole: bool) -> None:
    """Bring what is kept in line with what was found; if that is not all, nothing is forgotten."""
    kept = {upload.id for upload in services.ignored_uploads.entries()}
    for id in kept - ignored.keys() if whole else ():
        services.ignored_uploads.remove(id)
    for id in list(ignored.keys() - kept)[:MOST_NOTED]:
        keep_ignored(ignored[id], services)


def _open(path: str, container: str, settings: Settings, services: Services) -> list[str]:
    try:
        opened = take_upload(path, container=container, settings=settings, services=services)
    except FinetuneError as fault:  # the next tick tries again, and the other uploads must not wait for it
        _log.warning("opening a run failed; retried next tick", extra={"blob": path, "code": fault.code})
        return []
    _log.info("run opened for a missed upload", extra={"blob": path})
    return opened
