"""Parse upload paths, and derive the name that a run's resources share."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from enum import StrEnum
from typing import NamedTuple

DATASET_NAME_LIMIT = 128
"""Characters of a dataset's name; longer uploads are ignored rather than cut to something ambiguous."""

SLUG_LIMIT = 16
"""Characters of the dataset in a run id: `ft-` + 16 + `-` + 10 is within the 32 of an endpoint name."""

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
"""How the app itself names JSON Lines."""

ENDINGS = (*SUFFIXES, ".ndjson", ".ndjson.gz", ".ndjson.zst")
"""How uploads of JSON Lines may end, in upper or lower case."""

RUN_TAG = "finetune-on-upload-run"
"""Tag of every job, model and endpoint of this app; its value is the run id."""

INSTALLATION_TAG = "finetune-on-upload-installation"
"""Tag of every endpoint of this app; its value tells apart installations that share a workspace."""

_NUMBERS = "23456789abcdefghijklmnopqrstuvwxyz"
_NUMBERED = re.compile(f"(.+)-([{_NUMBERS}])")

NAMES_OF_A_RUN = 1 + len(_NUMBERS)
"""Names that a run has for its jobs, one after the other, and for its endpoints."""

COMPANIONS = ("validation", "test")
OPTIONS_FILE = "run.json"
COMMIT_MARKER = "_SUCCESS"
"""An empty blob that says that its folder is whole: Hadoop's and Spark's name for it."""

_RUN_ID = re.compile(r"ft-[a-z0-9]+(?:-[a-z0-9]+)*-[0-9a-f]{10}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


class Upload(NamedTuple):
    """What the path of a training file says.

    Attributes:
        dataset: The dataset's name as the user wrote it: the file's, or its folder's with those above it.
        folder: `<dataset>/` when companions and options may lie beside the file, else None.
        suffix: One of `ENDINGS`.
    """

    dataset: str
    folder: str | None
    suffix: str


class Role(StrEnum):
    """What a file is in the folder of a dataset."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    OPTIONS = "options"
    MARKER = "marker"


class Part(NamedTuple):
    """A file in the folder of a dataset."""

    folder: str
    role: Role
    suffix: str = ""


def parse_upload(path: str) -> Upload | None:
    """Tell whether a blob in the uploads container opens a run.

    Args:
        path: The blob's name within its container.

    Returns:
        The upload, or None for every blob that does not open a run: companions, options, other files.
    """
    if "/" in path:
        part = part_of_folder(path)
        opens = part is not None and part.role is Role.TRAIN
        return Upload(part.folder[:-1], part.folder, part.suffix) if part is not None and opens else None
    stem, suffix = split_ending(path)
    return Upload(stem, None, suffix) if suffix and is_dataset_name(stem) else None


def part_of_folder(path: str) -> Part | None:
    """What a blob is in the folder that it lies in; None if it is no part of a dataset, or in no folder."""
    dataset, separator, name = path.rpartition("/")
    if not separator or not is_dataset_name(dataset):
        return None
    if name.casefold() == OPTIONS_FILE:
        return Part(f"{dataset}/", Role.OPTIONS)
    if name == COMMIT_MARKER:
        return Part(f"{dataset}/", Role.MARKER)
    stem, suffix = split_ending(name)
    role = _DATA_ROLES.get(stem.casefold()) if suffix else None
    return Part(f"{dataset}/", role, suffix) if role is not None else None


_DATA_ROLES = {role.value: role for role in (Role.TRAIN, Role.VALIDATION, Role.TEST)}


def split_ending(name: str) -> tuple[str, str]:
    """A name without its ending, and the ending in lower case; empty if it is none of JSON Lines."""
    lowered = name.lower()
    suffix = next((one for one in sorted(ENDINGS, key=len, reverse=True) if lowered.endswith(one)), "")
    return name[: len(name) - len(suffix)], suffix


def is_dataset_name(name: str) -> bool:
    """Whether a dataset may have this name; a slash in it stands for folders."""
    inside = all(folder.strip(". ") for folder in name.split("/"))
    return inside and len(name) <= DATASET_NAME_LIMIT and not has_control_characters(name)


def has_control_characters(path: str) -> bool:
    """Whether a path has characters that no name of ours may have: control characters, backslashes."""
    return _CONTROL.search(path) is not None


def is_companion_of(path: str, train: str) -> bool:
    """Whether a file is validation or test data of the dataset of a training file."""
    upload, part = parse_upload(train), part_of_folder(path)
    if upload is None or part is None or part.role.value not in COMPANIONS:
        return False
    return part.folder == upload.folder


def slug(text: str, limit: int) -> str:
    """Reduce any text to lower-case ASCII letters, digits and single hyphens, at most `limit` characters."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:limit].rstrip("-") or "data"


def run_id_for(container: str, path: str, etag: str) -> str:
    """Name the run of one upload.

    The same path and ETag always give the same name; it serves as run id, job name, endpoint name
    (3-32 characters, letters, digits and hyphens: azure-ai-ml's own check) and blob prefix.

    Args:
        container: Container of the upload.
        path: Blob name within it; must be one that `parse_upload` accepts.
        etag: The blob's ETag, with or without its quotes.
    """
    upload = parse_upload(path)
    dataset = upload.dataset if upload else path
    bare_etag = etag.strip('"')
    digest = hashlib.sha256(f"{container}/{path}|{bare_etag}".encode()).hexdigest()[:10]
    return f"ft-{slug(dataset, SLUG_LIMIT)}-{digest}"


def is_run_id(text: str) -> bool:
    """Whether `text` has the form of a run id; what reaches a blob name or a URL is checked here."""
    return len(text) <= 32 and _RUN_ID.fullmatch(text) is not None


def numbered_name(run_id: str, number: int) -> str:
    """The name of a run's job or endpoint: the run id itself, then `<run id>-2` and so on.

    A job's name can never be used again, and Azure may hold a deleted endpoint's for a while. Run ids have at
    most 30 characters, so that the suffix fits into the 32 of an endpoint's name.

    Args:
        run_id: The run.
        number: 1 for the first; after `NAMES_OF_A_RUN` the first one's turn comes again.
    """
    index = (number - 1) % NAMES_OF_A_RUN
    return f"{run_id}-{_NUMBERS[index - 1]}" if index else run_id


def number_of(name: str) -> int:
    """Which of its run's names a job's or an endpoint's is; 1 for the run id itself."""
    numbered = None if is_run_id(name) else _NUMBERED.fullmatch(name)
    return _NUMBERS.index(numbered[2]) + 2 if numbered else 1


def run_id_of(name: str) -> str | None:
    """The run that a job or an endpoint of that name may belong to, or None; its tags say whether it does."""
    if is_run_id(name):
        return name
    numbered = _NUMBERED.fullmatch(name)
    return numbered[1] if numbered and is_run_id(numbered[1]) else None


def model_name(base_model: str, dataset: str) -> str:
    """Name the registered model `<base>-<dataset>`, within Azure ML's 255 characters of `[A-Za-z0-9._-]`."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", base_model).strip("-._") or "model"
    return f"{base[:120]}-{slug(dataset, 100)}"
