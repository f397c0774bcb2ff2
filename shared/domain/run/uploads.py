"""Datasets as they lie in storage: which blobs belong together, and whether they are all there.

Nothing of a blob is read for that. What cannot open a run is named with a reason (`ignored.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from shared.domain.run.names import Role, parse_upload, part_of_folder
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
        return SourceFile(path=self.path, etag=self.etag, size=self.size, md5=self.md5)


class UploadCheck(msgspec.Struct, frozen=True, kw_only=True):
    """An upload to look at again, and how often that was done."""

    path: Annotated[str, Meta(min_length=1, max_length=1024)]
    attempt: Annotated[int, Meta(ge=0)] = 0


class UploadedDataset(NamedTuple):
    """A training file and what lies beside it in its folder.

    Attributes:
        train: The training file; its path is that of the upload.
        companions: Validation and test data, at most one file of each.
        options: `run.json`.
        marker: The commit marker.
    """

    train: UploadedBlob
    companions: tuple[UploadedBlob, ...] = ()
    options: UploadedBlob | None = None
    marker: UploadedBlob | None = None

    @property
    def parts(self) -> tuple[UploadedBlob, ...]:
        """Everything beside the training file that a run uses."""
        return (*self.companions, *([self.options] if self.options else []))

    @property
    def blobs(self) -> tuple[UploadedBlob, ...]:
        """All of it but the marker."""
        return (self.train, *self.parts)


RESOLUTION = timedelta(seconds=1)
"""Storage tells the time of a change without the fraction of its second (HTTP's `Last-Modified`)."""


def settled_at(dataset: UploadedDataset, settle: timedelta) -> datetime | None:
    """When a dataset will have been left alone for long enough to count as whole.

    Args:
        dataset: What has arrived so far.
        settle: For how long none of its files must change.

    Returns:
        That time (UTC); None if it is whole already: no settling was asked for, or there is a commit marker
        that is younger than everything that it commits.
    """
    changed = max(blob.modified for blob in dataset.blobs)
    committed = dataset.marker is not None and dataset.marker.modified >= changed
    return None if committed or not settle else changed + RESOLUTION + settle


class Unused(NamedTuple):
    """A blob that belongs to no dataset.

    Attributes:
        blob: The blob.
        instead: The file that is used in its place, if there is one.
    """

    blob: UploadedBlob
    instead: str | None = None


def sort_uploads(blobs: Iterable[UploadedBlob]) -> Iterator[UploadedDataset | Unused]:
    """Sort blobs into datasets as a listing brings them.

    Args:
        blobs: In order of their paths, so that only the folders are kept in mind that a path lies in.

    Yields:
        Each dataset with all that belongs to it, and every blob that belongs to none.
    """
    folders: dict[str, list[UploadedBlob]] = {}
    for blob in blobs:
        for folder in [folder for folder in folders if not blob.path.startswith(folder)]:
            yield from _datasets_of(folders.pop(folder))
        part = part_of_folder(blob.path)
        if part is not None:
            folders.setdefault(part.folder, []).append(blob)
        elif parse_upload(blob.path) is not None:
            yield UploadedDataset(blob)
        else:
            yield Unused(blob)
    for contents in folders.values():
        yield from _datasets_of(contents)


def _datasets_of(contents: list[UploadedBlob]) -> Iterator[UploadedDataset | Unused]:
    """The dataset of a folder, or one for each training file that it has."""
    by_role: dict[Role, list[UploadedBlob]] = {}
    for blob in contents:
        part = part_of_folder(blob.path)
        assert part is not None, "only parts are collected"
        by_role.setdefault(part.role, []).append(blob)
    trains = by_role.get(Role.TRAIN, [])
    used: set[str] = set()
    for train in trains:
        dataset = UploadedDataset(
            train,
            tuple(
                _nearest(found, train)
                for role in (Role.VALIDATION, Role.TEST)
                if (found := by_role.get(role))
            ),
            _nearest(by_role[Role.OPTIONS], train) if Role.OPTIONS in by_role else None,
            by_role[Role.MARKER][0] if Role.MARKER in by_role else None,
        )
        used |= {blob.path for blob in dataset.blobs}
        yield dataset
    for role, found in by_role.items():
        for blob in found:
            if blob.path not in used and not (trains and role is Role.MARKER):
                yield Unused(blob, next((one.path for one in found if one.path in used), None))


def _nearest(found: list[UploadedBlob], train: UploadedBlob) -> UploadedBlob:
    """The one that is compressed and written like the training file; another is better than none."""
    upload = parse_upload(train.path)
    assert upload is not None, "a training file has a folder"

    def rank(blob: UploadedBlob) -> tuple[bool, bool, str]:
        part = part_of_folder(blob.path)
        name = blob.path.rpartition("/")[2]
        return (part is None or part.suffix != upload.suffix, name != name.lower(), name)

    return min(found, key=rank)
