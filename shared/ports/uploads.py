"""The uploads container."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Protocol

from shared.domain.run.ignored import IgnoredUpload
from shared.domain.run.parts import SourceFile
from shared.domain.run.uploads import UploadCheck, UploadedBlob


class Uploads(Protocol):
    """The container `uploads`, read only."""

    def find(self, path: str) -> UploadedBlob | None:
        """The blob as it is now, or None."""

    def folder(self, folder: str) -> Iterator[UploadedBlob]:
        """The blobs directly in a folder, whose name ends with a slash, in order of their paths."""

    def every(self, *, unlisted: list[str]) -> Iterator[UploadedBlob]:
        """Every blob in order of its path, from one listing of 200 a page; no directories.

        Where the service fails to list some, `unlisted` is appended the prefixes of those that are left out.
        """

    def read(self, file: SourceFile, offset: int = 0) -> Iterator[bytes]:
        """Stream that very version from a byte on. Raises UploadReplacedError once it is no longer there."""

    def read_small(self, file: SourceFile, limit: int) -> bytes:
        """At most `limit` + 1 bytes of that very version. Raises UploadReplacedError."""


class UploadWriter(Protocol):
    """The container `uploads` as the app writes it for a caller."""

    def stage(self, path: str, block: str, data: bytes) -> None:
        """Keep a part of a file, invisibly, over one of that name; the names of a file's have one length."""

    def commit(self, path: str, blocks: Sequence[str]) -> str:
        """Make parts a file, over one of that name; returns its ETag. Raises RequestError if one lacks."""

    def write(self, path: str, content: bytes) -> None:
        """Write a small file, over whatever is there."""

    def remove(self, path: str) -> None:
        """Delete a file, if it is there."""


class UploadChecks(Protocol):
    """The queue of uploads to look at again."""

    def enqueue(self, check: UploadCheck, *, delay: timedelta) -> None:
        """Queue a check that becomes visible after `delay`."""


class IgnoredUploads(Protocol):
    """Which uploads open no run."""

    def add(self, upload: IgnoredUpload) -> None:
        """Keep an entry; one of the same id stays as it is."""

    def entries(self) -> Iterator[IgnoredUpload]:
        """All of them."""

    def remove(self, id: str) -> None:
        """Forget an entry, if it is there."""
