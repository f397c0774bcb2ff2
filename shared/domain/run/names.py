"""Parse upload paths, and derive the name that a run's resources share."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import NamedTuple

DATASET_NAME_LIMIT = 128
"""Characters of a dataset's name; longer uploads are ignored rather than cut to something ambiguous."""

SLUG_LIMIT = 16
"""Characters of the dataset in a run id: `ft-` + 16 + `-` + 10 is within the 32 of an endpoint name."""

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
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

_RUN_ID = re.compile(r"ft-[a-z0-9]+(?:-[a-z0-9]+)*-[0-9a-f]{10}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


class Upload(NamedTuple):
    """What an uploaded blob's path says.

    Attributes:
        dataset: The dataset's name as the user wrote it.
        folder: `<dataset>/` when companions and options may lie beside the file, else None.
        suffix: One of `SUFFIXES`.
    """

    dataset: str
    folder: str | None
    suffix: str


def parse_upload(path: str) -> Upload | None:
    """Tell whether a blob in the uploads container opens a run.

    Args:
        path: The blob's name within its container.

    Returns:
        The upload, or None for every blob that does not open a run: companions, options, other files.
    """
    suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if path.endswith(s)), None)
    if suffix is None or _CONTROL.search(path):
        return None
    stem = path[: -len(suffix)]
    dataset, separator, name = stem.partition("/")
    if separator and name != "train":
        return None
    if not dataset.strip(". ") or len(dataset) > DATASET_NAME_LIMIT:
        return None
    return Upload(dataset, f"{dataset}/" if separator else None, suffix)


def companions_of(path: str) -> frozenset[str] | None:
    """Every path that a companion of an upload may have; None if `path` opens no run."""
    upload = parse_upload(path)
    if upload is None:
        return None
    if upload.folder is None:
        return frozenset()
    return frozenset(f"{upload.folder}{name}{suffix}" for name in COMPANIONS for suffix in SUFFIXES)


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
