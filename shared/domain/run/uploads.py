"""What storage says of an uploaded blob, before any of it is read."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.domain.run.parts import SourceFile


class BlobKind(StrEnum):
    """The kind of a blob, which decides how it can be written."""

    BLOCK = "BlockBlob"
    APPEND = "AppendBlob"
    # It may grow at any time, and storage raises no event when it does.
    PAGE = "PageBlob"
    # For disks: its size is a multiple of 512 bytes, padded with zeros.


class UploadedBlob(NamedTuple):
    """One blob of the `uploads` container, in its present version.

    Attributes:
        path: Its name within the container.
        etag: Of this version, in quotes.
        size: Bytes.
        modified: When content, metadata or properties were last written (UTC, by storage's clock).
        kind: See `BlobKind`.
        md5: MD5 of the content in hexadecimal digits, where storage or the uploader computed it.
        archived: Whether it is in the archive tier, from which nothing can be read.
    """

    path: str
    etag: str
    size: int
    modified: datetime
    kind: BlobKind = BlobKind.BLOCK
    md5: str | None = None
    archived: bool = False

    @property
    def file(self) -> SourceFile:
        """What a run keeps of it."""
        return SourceFile(path=self.path, etag=self.etag, size=self.size)
