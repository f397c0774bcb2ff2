"""Uploads that come through the app: blocks that are staged one by one, and become a file all at once."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobServiceClient, ContentSettings

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import UPLOADS, storage_code
from shared.domain.errors import RequestError

_TYPES = {".json": "application/json", ".jsonl": "application/jsonl", ".ndjson": "application/jsonl"}


class BlobUploadWriter:
    """See `UploadWriter`. Uncommitted blocks are invisible, and storage drops them after a week."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(UPLOADS)

    def stage(self, path: str, block: str, data: bytes) -> None:
        """See `UploadWriter.stage`."""
        with translated(f"taking a part of {path}"):
            self._container.get_blob_client(path).stage_block(_block_id(block), data)

    def commit(self, path: str, blocks: Sequence[str]) -> str:
        """See `UploadWriter.commit`."""
        listed = [BlobBlock(_block_id(block)) for block in blocks]
        kind = next((kind for ending, kind in _TYPES.items() if path.lower().endswith(ending)), None)
        with translated(f"completing {path}"):
            try:
                written = self._container.get_blob_client(path).commit_block_list(
                    listed, content_settings=ContentSettings(content_type=kind)
                )
            except HttpResponseError as fault:
                if storage_code(fault) not in {"InvalidBlockList", "InvalidBlockId", "InvalidBlobOrBlock"}:
                    raise
                message = f"{path} lacks a part that was to be in it: send all its parts again"
                raise RequestError(409, message, code="PartMissing") from fault
        return str(written["etag"])

    def write(self, path: str, content: bytes) -> None:
        """See `UploadWriter.write`."""
        with translated(f"writing {path}"):
            self._container.get_blob_client(path).upload_blob(content, overwrite=True)

    def remove(self, path: str) -> None:
        """See `UploadWriter.remove`."""
        with translated(f"deleting {path}"):
            blob = self._container.get_blob_client(path)
            if blob.exists():
                blob.delete_blob()


def _block_id(block: str) -> str:
    """As storage has ids: base64, all of a blob's of one length."""
    return base64.b64encode(block.encode()).decode()
