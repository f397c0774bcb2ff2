"""Open the runs of uploads that no event opened.

An event can get lost, and the app can be down for longer than Event Grid keeps one, which is a day.
"""

from __future__ import annotations

from datetime import timedelta

from shared.config import Settings
from shared.domain.errors import FinetuneError
from shared.domain.run.names import parse_upload, run_id_for
from shared.domain.run.uploads import UploadedBlob
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.open_run import open_run_for_upload

LOOKS_BACK = timedelta(days=7)
"""Older uploads open no run by themselves: they were there before the app was, and training costs money."""

MOST_OPENED = 100
"""Runs opened at one tick; the next tick opens the others."""

_log = get_logger(__name__)


def reconcile_uploads(*, container: str, settings: Settings, services: Services) -> list[str]:
    """Compare a listing of the uploads with the index of runs, and open the runs that are missing.

    Uploads are listed first: a run's record is always younger than its upload, so that none listed here can
    lack its record in the index below. No blob is asked about by itself, unless its run is missing.

    Returns:
        The runs that were opened, to be advanced.
    """
    now = services.now()
    uploads = [blob for blob in services.uploads.every() if parse_upload(blob.path) is not None]
    runs = {entry.run_id for entry in services.runs.entries()}
    missing = [blob for blob in uploads if run_id_for(container, blob.path, blob.etag) not in runs]
    lost = [blob for blob in missing if now - blob.modified <= LOOKS_BACK]
    opened = [_open(blob, container, settings, services) for blob in lost[:MOST_OPENED]]
    return [run_id for run_id in opened if run_id is not None]


def _open(blob: UploadedBlob, container: str, settings: Settings, services: Services) -> str | None:
    try:
        run_id = open_run_for_upload(blob.path, container=container, settings=settings, services=services)
    except FinetuneError as fault:  # the next tick tries again, and the other uploads must not wait for it
        _log.warning("an upload has no run yet", extra={"blob": blob.path, "code": fault.code})
        return None
    _log.info("an upload had no run", extra={"run_id": run_id, "blob": blob.path})
    return run_id
