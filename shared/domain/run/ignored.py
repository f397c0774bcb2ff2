"""Uploads that open no run: why, and what to do about each."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.domain.run.names import (
    COMMIT_MARKER,
    DATASET_NAME_LIMIT,
    OPTIONS_FILE,
    has_control_characters,
    part_of_folder,
    split_ending,
)
from shared.domain.run.uploads import BlobKind, UploadedBlob, UploadedDataset


class IgnoredReason(StrEnum):
    """Why an upload opens no run."""

    CONVERTIBLE_FILE = "ConvertibleFile"
    ARCHIVE_FILE = "ArchiveFile"
    UNSUPPORTED_FILE = "UnsupportedFile"
    UNUSABLE_NAME = "UnusableName"
    NAME_TOO_LONG = "NameTooLong"
    NOT_A_PART = "NotAPart"
    NO_TRAINING_FILE = "NoTrainingFile"
    OPTIONS_OUTSIDE_FOLDER = "OptionsOutsideFolder"
    SUPERFLUOUS_FILE = "SuperfluousFile"
    LATE_FILE = "LateFile"
    EMPTY_FILE = "EmptyFile"
    PAGE_BLOB = "PageBlob"
    ARCHIVE_TIER = "ArchiveTier"
    TOO_OLD = "TooOld"


PASSING = frozenset({IgnoredReason.EMPTY_FILE, IgnoredReason.NO_TRAINING_FILE})
"""Reasons that end by themselves while an upload goes on: they count once it has been quiet for a while."""

QUIET = timedelta(minutes=1)
"""How long nothing must have changed before a passing reason counts."""


class IgnoredUpload(NamedTuple):
    """A blob that opens no run.

    Attributes:
        path: The blob's name within its container.
        etag: Of the version that was looked at.
        size: Bytes.
        reason: Why it opens none.
        noticed: When that was noticed first (UTC).
    """

    path: str
    etag: str
    size: int
    reason: IgnoredReason
    noticed: datetime

    @property
    def id(self) -> str:
        """The same whenever this version of the blob is ignored for this reason."""
        bare_etag = self.etag.strip('"')
        return hashlib.sha256(f"{self.path}|{bare_etag}|{self.reason}".encode()).hexdigest()[:32]


CONVERTIBLE = (".csv", ".json", ".parquet")
"""Endings of the files that the upload tool converts."""

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar", ".xlsx")


def reason_for_name(path: str) -> IgnoredReason:
    """Why a blob of this name belongs to no dataset."""
    dataset, in_folder, name = path.rpartition("/")
    if name.casefold() == OPTIONS_FILE and not in_folder:
        return IgnoredReason.OPTIONS_OUTSIDE_FOLDER
    if part_of_folder(path) is not None:
        return IgnoredReason.NO_TRAINING_FILE
    if name.lower().endswith(CONVERTIBLE):
        return IgnoredReason.CONVERTIBLE_FILE
    if name.lower().endswith(ARCHIVES):
        return IgnoredReason.ARCHIVE_FILE
    stem, suffix = split_ending(name)
    if not suffix:
        return IgnoredReason.UNSUPPORTED_FILE
    if in_folder and stem.casefold() not in _DATA_NAMES:
        return IgnoredReason.NOT_A_PART
    named = dataset if in_folder else stem
    if len(named) > DATASET_NAME_LIMIT and not has_control_characters(path):
        return IgnoredReason.NAME_TOO_LONG
    return IgnoredReason.UNUSABLE_NAME


_DATA_NAMES = frozenset({"train", "validation", "test"})


def reason_for_content(dataset: UploadedDataset) -> tuple[UploadedBlob, IgnoredReason] | None:
    """The blob that keeps a dataset from being read, and why; None if it can be read."""
    for blob in dataset.blobs:
        if blob.archived:
            return blob, IgnoredReason.ARCHIVE_TIER
        if blob.kind is BlobKind.PAGE:
            return blob, IgnoredReason.PAGE_BLOB
        if blob.size == 0:
            return blob, IgnoredReason.EMPTY_FILE
    return None


def explain(path: str, reason: IgnoredReason) -> tuple[str, str]:
    """What is wrong with an upload, and what to do about it, each as one sentence."""
    folder, _, name = path.rpartition("/")
    stem, suffix = split_ending(name)
    length = len(folder or stem)
    detail, remedy = _EXPLANATIONS[reason]
    facts = {"folder": folder, "name": name, "stem": stem, "suffix": suffix or ".jsonl", "length": length}
    return detail.format_map(facts), remedy.format_map(facts)


_EXPLANATIONS = {
    IgnoredReason.CONVERTIBLE_FILE: (
        "The file is not JSON Lines.",
        "Convert and upload it with `finetune upload`, then delete this one.",
    ),
    IgnoredReason.ARCHIVE_FILE: (
        "The file is an archive or a spreadsheet.",
        "Upload its rows as `<dataset>.jsonl`.",
    ),
    IgnoredReason.UNSUPPORTED_FILE: (
        "The name does not say that the file is JSON Lines.",
        "If it is, name it `<dataset>.jsonl`, `.jsonl.gz` or `.jsonl.zst`; if not, delete it.",
    ),
    IgnoredReason.UNUSABLE_NAME: (
        "The name is empty, or has a control character, a backslash, or a folder of dots alone.",
        "Upload the file as `<dataset>.jsonl` or `<dataset>/train.jsonl`.",
    ),
    IgnoredReason.NAME_TOO_LONG: (
        "The dataset's name has {length} characters.",
        f"Choose a name of at most {DATASET_NAME_LIMIT} characters.",
    ),
    IgnoredReason.NOT_A_PART: (
        f"A folder may have `train`, `validation` and `test` data, `{OPTIONS_FILE}` and `{COMMIT_MARKER}`.",
        "Name it `{folder}/{stem}/train{suffix}`, or move it out of the folder: `{name}`.",
    ),
    IgnoredReason.NO_TRAINING_FILE: (
        "The folder has no training file.",
        "Upload `{folder}/train{suffix}`, or delete this file.",
    ),
    IgnoredReason.OPTIONS_OUTSIDE_FOLDER: (
        f"`{OPTIONS_FILE}` counts only in the folder of a dataset.",
        f"Upload it as `<dataset>/{OPTIONS_FILE}`, beside `<dataset>/train.jsonl`.",
    ),
    IgnoredReason.SUPERFLUOUS_FILE: (
        "Another file of the folder is used in its place.",
        "Delete one of the two.",
    ),
    IgnoredReason.LATE_FILE: (
        "It came after the run of its folder had ended.",
        "To train with it, upload the folder's training file again.",
    ),
    IgnoredReason.EMPTY_FILE: (
        "The file is empty: a placeholder, or its content was not committed yet.",
        "Upload its content, or delete it; no run opens for the dataset before.",
    ),
    IgnoredReason.PAGE_BLOB: (
        "It is a page blob, which is padded with zeros.",
        "Upload the file as a block blob, which is every tool's default.",
    ),
    IgnoredReason.ARCHIVE_TIER: (
        "It is in the archive tier, from which nothing can be read.",
        "Rehydrate it (set its tier to Hot or Cool, which takes hours), then upload or copy it again.",
    ),
    IgnoredReason.TOO_OLD: (
        "It was uploaded over a week before the app saw it.",
        "If it is to be trained on, upload it again.",
    ),
}
