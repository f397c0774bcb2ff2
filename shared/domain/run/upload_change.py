"""What became of an upload after its run was opened, and what that means until training starts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.domain.run.parts import Source, SourceFile
from shared.domain.run.uploads import UploadedDataset, settled_at


class UploadChange(StrEnum):
    """What is different from what the run was opened for."""

    NONE = "none"
    RETAGGED = "retagged"
    # The same content under another ETag: somebody changed metadata or properties.
    PARTS = "parts"
    # A companion or `run.json` came, went or has another content.
    REPLACED = "replaced"
    # The training file has another content, or one that nobody can compare without reading it.
    GONE = "gone"


class UploadStatus(NamedTuple):
    """An upload as it is now.

    Attributes:
        change: What became of it.
        whole_at: When it will have been left alone for long enough (UTC); None if it has been.
    """

    change: UploadChange
    whole_at: datetime | None = None


def upload_status(source: Source, dataset: UploadedDataset | None, settle: timedelta) -> UploadStatus:
    """Compare what a run was opened for with what is there now; None is an upload that is gone."""
    if dataset is None:
        return UploadStatus(UploadChange.GONE)
    train = dataset.train.file
    if not same_content(source.files[0], train):
        return UploadStatus(UploadChange.REPLACED)
    whole_at = settled_at(dataset, settle)
    known = _by_path(source)
    present = {blob.path: blob.file for blob in dataset.blobs if blob.size > 0 and not blob.archived}
    if late_files(source, dataset) or not present.keys() >= known.keys():
        return UploadStatus(UploadChange.PARTS, whole_at)
    if any(known[path].etag != file.etag for path, file in present.items()):
        return UploadStatus(UploadChange.RETAGGED, whole_at)
    return UploadStatus(UploadChange.NONE)


def late_files(source: Source, dataset: UploadedDataset) -> tuple[str, ...]:
    """Files beside the training file that the run does not have, or not with this content."""
    known = _by_path(source)
    return tuple(
        blob.path
        for blob in dataset.parts
        if blob.size > 0
        and not blob.archived
        and not (blob.path in known and same_content(known[blob.path], blob.file))
    )


def same_content(one: SourceFile, other: SourceFile) -> bool:
    """Whether two versions of a file are certain to have the same bytes."""
    if one.etag == other.etag:
        return True
    return one.md5 is not None and (one.md5, one.size) == (other.md5, other.size)


def content_key(file: SourceFile) -> str:
    """A short word for the content at a path, for the index; empty if it is not known without reading it."""
    return _digest(f"{file.path}|{file.md5}|{file.size}") if file.md5 is not None else ""


def parts_key(files: Iterable[SourceFile]) -> str:
    """A short word for the companions and options of a run, for the index."""
    return _digest("\n".join(sorted(f"{file.path}|{file.md5 or file.etag}" for file in files)))


def _by_path(source: Source) -> dict[str, SourceFile]:
    return {file.path: file for file in (source.files[0], *source.parts)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
