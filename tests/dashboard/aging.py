"""Moves a run's times for its picture: hours and days ago, with stages as long as on Azure's GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError
from azure.storage.blob import BlobClient

from shared.domain.run.index_metadata import to_metadata
from shared.domain.run.parts import StageEntry
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.dashboard.scenes import Scenes

QUEUED = timedelta(minutes=6)
"""From the submission of a job to its first node."""

LASTED: Mapping[Stage, timedelta] = {
    Stage.RECEIVED: timedelta(seconds=1.2),
    Stage.VALIDATED: timedelta(seconds=4),
    Stage.TRAINING: timedelta(hours=1, minutes=43, seconds=20),
    Stage.TRAINED: timedelta(seconds=3),
    Stage.REGISTERED: timedelta(seconds=2),
    Stage.DEPLOYING: timedelta(minutes=11, seconds=40),
    Stage.LIVE: timedelta(hours=24),
    Stage.DELETING: timedelta(minutes=3, seconds=10),
}


def age(
    scenes: Scenes,
    run_id: str,
    opened_ago: timedelta,
    *,
    lasted: Mapping[Stage, timedelta] | None = None,
    used_ago: timedelta | None = None,
) -> None:
    """Have a run opened a while ago.

    Args:
        scenes: The stack.
        run_id: The run.
        opened_ago: How long ago.
        lasted: How long stages took, over those of `LASTED`.
        used_ago: How long ago its endpoint answered last.
    """
    spans = {**LASTED, **(lasted or {})}
    now = datetime.now(UTC)
    with BlobClient.from_connection_string(
        scenes.stack.blob_connection_string, "runs", f"{run_id}.json"
    ) as blob:
        while True:
            download = blob.download_blob()
            run = _moved(msgspec.json.decode(download.readall(), type=Run), now - opened_ago, spans)
            if used_ago is not None:
                run = msgspec.structs.replace(run, last_used=now - used_ago)
            if run.stage is Stage.LIVE:
                ends = (run.expires_at, run.idle_at)
                run = msgspec.structs.replace(run, due=min(end for end in ends if end is not None))
            try:
                blob.upload_blob(
                    msgspec.json.encode(run),
                    overwrite=True,
                    etag=download.properties.etag,
                    match_condition=MatchConditions.IfNotModified,
                    metadata=to_metadata(run),
                )
            except ResourceModifiedError:
                continue  # the app was faster
            return


def _moved(run: Run, at: datetime, spans: Mapping[Stage, timedelta]) -> Run:
    history = []
    for entry in run.history:
        history.append(StageEntry(stage=entry.stage, at=at))
        at += spans.get(entry.stage, timedelta())
    run = msgspec.structs.replace(run, history=tuple(history))
    training = run.entered(Stage.TRAINING)
    if run.metrics is not None and run.metrics.began is not None and training is not None:
        metrics = msgspec.structs.replace(run.metrics, began=training + QUEUED)
        run = msgspec.structs.replace(run, metrics=metrics)
    live = run.entered(Stage.LIVE)
    if run.endpoint is None or live is None:
        return run
    lifetime = timedelta(hours=run.options.lifetime_hours)
    endpoint = msgspec.structs.replace(run.endpoint, live_since=live, expires_at=live + lifetime)
    return msgspec.structs.replace(run, endpoint=endpoint)
