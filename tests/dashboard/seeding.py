"""Runs that are written straight into storage, in the state that a page is to show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from azure.storage.blob import BlobClient

from shared.domain.run.index_metadata import to_metadata
from shared.domain.run.parts import Failure
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.app.builders import a_run
from tests.dashboard.scenes import Scenes


def seed(scenes: Scenes, run: Run) -> str:
    """Write a run's record with its index entry; it has to be one that the app leaves alone.

    Returns:
        The run's id.
    """
    connection = scenes.stack.blob_connection_string
    with BlobClient.from_connection_string(connection, "runs", f"{run.run_id}.json") as blob:
        blob.upload_blob(msgspec.json.encode(run), overwrite=True, metadata=to_metadata(run))
    return run.run_id


def a_bad_end(run_id: str, dataset: str) -> Run:
    """A run that was rejected two hours ago."""
    at = datetime.now(UTC) - timedelta(hours=2)
    message = "3 of 60 rows have a fault"
    error = Failure(code="DatasetRejected", message=message, stage=Stage.RECEIVED, at=at)
    return a_run(Stage.REJECTED, now=at, run_id=run_id, dataset=dataset, error=error)
