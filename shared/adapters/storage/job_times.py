"""How long training jobs took: `job-times/<key>` in the container `coordination` lists the newest."""

from __future__ import annotations

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import COORDINATION, NOTE_LIMIT_BYTES, read_bounded
from shared.domain.errors import TransientServiceError
from shared.domain.run.job_time import KEPT, JobTime

ATTEMPTS = 5


class BlobJobTimes:
    """One small blob for each key, replaced as a whole under its ETag."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(COORDINATION)

    def recall(self, key: str) -> tuple[JobTime, ...]:
        """See `JobTimes.recall`."""
        with translated("looking up how long jobs took"):
            return self._read(self._blob(key))[0]

    def remember(self, key: str, job: JobTime) -> None:
        """See `JobTimes.remember`."""
        blob = self._blob(key)
        with translated("remembering how long a job took"):
            for _ in range(ATTEMPTS):
                known, etag = self._read(blob)
                if job in known:
                    return
                kept = (*(one for one in known if one.run_id != job.run_id), job)[-KEPT:]
                try:
                    if etag is None:
                        blob.upload_blob(msgspec.json.encode(kept), overwrite=False)
                    else:
                        blob.upload_blob(
                            msgspec.json.encode(kept),
                            overwrite=True,
                            etag=etag,
                            match_condition=MatchConditions.IfNotModified,
                        )
                except (ResourceExistsError, ResourceModifiedError):
                    continue
                return
        raise TransientServiceError("the times of jobs kept changing", code="JobTimesContended")

    def _blob(self, key: str) -> BlobClient:
        return self._container.get_blob_client(f"job-times/{key}")

    def _read(self, blob: BlobClient) -> tuple[tuple[JobTime, ...], str | None]:
        """What is kept, and its ETag; what cannot be read counts as nothing known."""
        try:
            download = blob.download_blob()
        except ResourceNotFoundError:
            return (), None
        text, etag = read_bounded(download, NOTE_LIMIT_BYTES) or b"", str(download.properties.etag)
        try:
            return msgspec.json.decode(text, type=tuple[JobTime, ...]), etag
        except msgspec.DecodeError:
            return (), etag
