"""Handle an event of a new blob: open the run of the uploaded dataset, and advance it."""

from __future__ import annotations

from shared.config import Settings
from shared.ports import Services
from shared.workflow.advance import advance_run
from shared.workflow.open_run import open_run_for_upload


def handle_dataset_uploaded(path: str, *, container: str, settings: Settings, services: Services) -> None:
    """Open the run of an uploaded file, and advance it; see `open_run_for_upload`."""
    run_id = open_run_for_upload(path, container=container, settings=settings, services=services)
    if run_id is not None:
        advance_run(run_id, settings=settings, services=services)
