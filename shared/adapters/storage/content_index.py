"""The content index: `content/<digest>` in the container `coordination` names the run that trained it."""

from __future__ import annotations

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError
from azure.storage.blob import BlobServiceClient, StorageStreamDownloader

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import COORDINATION, NOTE_LIMIT_BYTES, read_bounded


class BlobContentIndex:
    """One small blob for each content digest."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(COORDINATION)

    def claim(self, digest: str, run_id: str) -> str:
        """See `ContentIndex.claim`."""
        blob = self._container.get_blob_client(f"content/{digest}")
        with translated(f"claiming content for {run_id}"):
            try:
                blob.upload_blob(run_id.encode(), overwrite=False)
            except ResourceExistsError:
                return _holder(blob.download_blob())
        return run_id

    def take_over(self, digest: str, run_id: str, *, previous: str) -> bool:
        """See `ContentIndex.take_over`."""
        blob = self._container.get_blob_client(f"content/{digest}")
        with translated(f"taking over content for {run_id}"):
            download = blob.download_blob()
            if _holder(download) != previous:
                return False
            try:
                blob.upload_blob(
                    run_id.encode(),
                    overwrite=True,
                    etag=download.properties.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except ResourceModifiedError:
                return False
        return True


def _holder(download: StorageStreamDownloader[bytes]) -> str:
    """The entry's run id; an invalid one names no run, and may be replaced."""
    return (read_bounded(download, NOTE_LIMIT_BYTES) or b"").decode(errors="replace")
