"""Evaluations in the `reports` container: `<run_id>/evaluation.jsonl`, replaced as a whole under its ETag."""

from __future__ import annotations

from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient, ContentSettings

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import REPORTS, read_bounded
from shared.ports import StoredEvaluation

EVALUATION_LIMIT_BYTES = 32 * 1024 * 1024
"""The longest evaluation that is read: 200 rows of the longest take a third of it."""

_JSON_LINES = ContentSettings(content_type="application/jsonl")


class BlobEvaluations:
    """One blob a run."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(REPORTS)

    def load(self, run_id: str) -> StoredEvaluation | None:
        """See `Evaluations.load`; one that nobody of ours wrote is as good as empty."""
        with translated(f"reading the evaluation of {run_id}"):
            try:
                download = self._blob(run_id).download_blob()
            except ResourceNotFoundError:
                return None
            body = read_bounded(download, EVALUATION_LIMIT_BYTES)
        return StoredEvaluation(body or b"", str(download.properties.etag))

    def save(self, run_id: str, body: bytes, etag: str | None) -> bool:
        """See `Evaluations.save`."""
        condition: dict[str, Any] = {}
        if etag is not None:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        with translated(f"storing the evaluation of {run_id}"):
            try:
                self._blob(run_id).upload_blob(
                    body, overwrite=etag is not None, content_settings=_JSON_LINES, **condition
                )
            except (ResourceExistsError, ResourceModifiedError):
                return False
        return True

    def _blob(self, run_id: str) -> BlobClient:
        return self._container.get_blob_client(f"{run_id}/evaluation.jsonl")
