"""Which strategy served a base model: `serving/<key>` in the container `coordination` names it."""

from __future__ import annotations

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import COORDINATION, NOTE_LIMIT_BYTES, read_bounded
from shared.domain.serving.record import StrategyName


class BlobServingMemory:
    """One small blob for each key."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(COORDINATION)

    def recall(self, key: str) -> StrategyName | None:
        """See `ServingMemory.recall`."""
        with translated("looking up which serving strategy worked"):
            return self._read(self._blob(key))[0]

    def remember(self, key: str, strategy: StrategyName) -> None:
        """See `ServingMemory.remember`."""
        blob, text = self._blob(key), strategy.encode()
        with translated("remembering which serving strategy worked"):
            known, etag = self._read(blob)
            if known is strategy:
                return
            try:
                if etag is None:
                    blob.upload_blob(text, overwrite=False)
                else:
                    unchanged = MatchConditions.IfNotModified
                    blob.upload_blob(text, overwrite=True, etag=etag, match_condition=unchanged)
            except (ResourceExistsError, ResourceModifiedError):
                return

    def _blob(self, key: str) -> BlobClient:
        return self._container.get_blob_client(f"serving/{key}")

    def _read(self, blob: BlobClient) -> tuple[StrategyName | None, str | None]:
        """What is kept, and its ETag; a word that is no strategy counts as nothing known."""
        try:
            download = blob.download_blob()
        except ResourceNotFoundError:
            return None, None
        word = (read_bounded(download, NOTE_LIMIT_BYTES) or b"").decode(errors="replace")
        known = StrategyName(word) if word in set(StrategyName) else None
        return known, str(download.properties.etag)
