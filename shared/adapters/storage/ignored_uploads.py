"""Ignored uploads: `ignored/<id>` in the container `coordination`, an empty blob with all in its metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from urllib.parse import quote, unquote

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from shared.adapters.sdk_errors import translated
from shared.adapters.storage.account import COORDINATION
from shared.domain.run.ignored import IgnoredReason, IgnoredUpload
from shared.domain.sanitize import is_supported_timestamp

PREFIX = "ignored/"


class BlobIgnoredUploads:
    """See `IgnoredUploads`."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._container = service.get_container_client(COORDINATION)

    def add(self, upload: IgnoredUpload) -> None:
        """See `IgnoredUploads.add`."""
        facts = {
            # At most 3 KiB, of the 8 that a blob's metadata may have.
            "path": quote(upload.path, safe=""),
            "etag": upload.etag.strip('"'),
            "size": str(upload.size),
            "reason": upload.reason.value,
            "noticed": upload.noticed.isoformat(),
        }
        with translated(f"noting that {upload.path} opens no run"), suppress(ResourceExistsError):
            self._container.get_blob_client(PREFIX + upload.id).upload_blob(
                b"", overwrite=False, metadata=facts
            )

    def entries(self) -> Iterator[IgnoredUpload]:
        """See `IgnoredUploads.entries`."""
        with translated("listing the ignored uploads"):
            for blob in self._container.list_blobs(name_starts_with=PREFIX, include=["metadata"]):
                if (upload := _read(blob.metadata or {})) is not None:
                    yield upload

    def remove(self, id: str) -> None:
        """See `IgnoredUploads.remove`."""
        with translated("forgetting an ignored upload"), suppress(ResourceNotFoundError):
            self._container.delete_blob(PREFIX + id)


def _read(metadata: Mapping[str, str]) -> IgnoredUpload | None:
    """An entry, or None for metadata that nobody could have written."""
    facts = {name.lower(): value for name, value in metadata.items()}
    try:
        noticed = datetime.fromisoformat(facts["noticed"])
        upload = IgnoredUpload(
            unquote(facts["path"]),
            f'"{facts["etag"]}"',
            int(facts["size"]),
            IgnoredReason(facts["reason"]),
            noticed,
        )
    except (KeyError, ValueError):
        return None
    return upload if noticed.tzinfo is not None and is_supported_timestamp(noticed) else None
