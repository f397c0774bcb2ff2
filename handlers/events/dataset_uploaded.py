"""Handle an event of a new blob: open the run of its dataset, and advance it."""

from __future__ import annotations

from shared.config import Settings
from shared.ports import Services
from shared.workflow.advance import advance_run
from shared.workflow.open_run import take_upload


def handle_dataset_uploaded(path: str, *, container: str, settings: Settings, services: Services) -> None:
    """Open the run of the dataset that a blob is part of, and advance it; see `take_upload`."""
    for run_id in take_upload(path, container=container, settings=settings, services=services):
        advance_run(run_id, settings=settings, services=services)
