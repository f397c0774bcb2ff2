"""Keep which uploads open no run, and tell of each once."""

from __future__ import annotations

from shared.domain.errors import FinetuneError
from shared.domain.run.ignored import IgnoredReason, IgnoredUpload
from shared.domain.run.notifications import IgnoredNotification, delay_before
from shared.domain.run.uploads import UploadedBlob, UploadedDataset
from shared.logs import get_logger
from shared.ports import Services

_log = get_logger(__name__)


def note_ignored(blob: UploadedBlob, reason: IgnoredReason, services: Services) -> None:
    """Keep that a version of a blob opens no run, and queue a notification, unless both were done before."""
    upload = IgnoredUpload(blob.path, blob.etag, blob.size, reason, services.now())
    kept = list(services.ignored_uploads.entries())
    if upload.id in {one.id for one in kept}:
        return
    keep_ignored(upload, services)
    for one in kept:
        if one.path == upload.path:
            services.ignored_uploads.remove(one.id)


def keep_ignored(upload: IgnoredUpload, services: Services) -> None:
    """Keep a new entry; its notification is queued before, so that a worker that dies between loses none."""
    extra = {"blob": upload.path, "reason": upload.reason.value}
    _log.warning("upload ignored: it opens no run", extra=extra)
    try:
        services.notifications.enqueue(IgnoredNotification(upload=upload.id), delay=delay_before(0))
    except FinetuneError as fault:
        _log.warning("an ignored upload will not be notified", extra={**extra, "code": fault.code})
    services.ignored_uploads.add(upload)


def forget_ignored(dataset: UploadedDataset, services: Services) -> None:
    """Forget what was said of the files of a dataset whose run is open."""
    paths = {blob.path for blob in (*dataset.blobs, *([dataset.marker] if dataset.marker else []))}
    for one in services.ignored_uploads.entries():
        if one.path in paths:
            services.ignored_uploads.remove(one.id)
