"""Where a dataset comes from: JSON Lines as they are, or what Hugging Face `datasets` reads, converted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import orjson

from shared.domain.dataset import Split
from shared.domain.names import SUFFIXES

# How `datasets` calls the readers of files that are converted.
_READERS = {".json": "json", ".parquet": "parquet", ".csv": "csv"}
_COLUMNS = frozenset(("messages", "conversations"))

Progress = Callable[[str, int, int], None]  # what, how many so far, of how many


class SourceError(Exception):
    """The dataset cannot be read from where it is said to be."""

    retryable = False


class Source(NamedTuple):
    """A dataset ready to be checked and sent.

    Attributes:
        name: What it is called in the cloud unless told otherwise.
        suffix: What its files' names end with: one of `SUFFIXES`.
        files: Its files by split, of which `train` is one.
    """

    name: str
    suffix: str
    files: Mapping[Split, Path]


class Selection(NamedTuple):
    """Which part of a dataset to take: the name of each split there, and how much of it in percent."""

    splits: Mapping[Split, str]
    percent: float = 100.0


@contextmanager
def open_source(location: str, selection: Selection, progress: Progress) -> Iterator[Source]:
    """Find a dataset; what has to be converted lies in a temporary folder while the context lasts.

    Args:
        location: A file, a folder, or the name of a dataset on the Hugging Face Hub.
        selection: For everything that `datasets` reads; files in JSON Lines are taken whole.
        progress: Told about rows while they are converted.

    Raises:
        SourceError: There is no such dataset, or it cannot be read.
    """
    path = Path(location)
    if path.is_file() and (suffix := _suffix(path)):
        yield Source(path.name.removesuffix(suffix), suffix, {Split.TRAIN: path})
        return
    if path.is_dir() and (found := _split_files(path)):
        yield found
        return
    with TemporaryDirectory(prefix="finetune-dataset-") as scratch:
        yield _convert(location, selection, Path(scratch), progress)


def _suffix(path: Path) -> str | None:
    return next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)


def _split_files(folder: Path) -> Source | None:
    """A folder in the layout of the uploads container: `train.jsonl` and its companions."""
    for suffix in SUFFIXES:
        files = {split: folder / f"{split}{suffix}" for split in Split}
        if files[Split.TRAIN].is_file():
            present = {split: file for split, file in files.items() if file.is_file()}
            return Source(folder.resolve().name, suffix, present)
    return None


def _convert(location: str, selection: Selection, scratch: Path, progress: Progress) -> Source:
    files = {}
    for split, name in selection.splits.items():
        rows = _load(location, name, selection.percent, scratch)
        files[split] = scratch / f"{split}.jsonl"
        with files[split].open("wb") as file:
            for number, row in enumerate(rows, 1):
                file.write(orjson.dumps(_without_nulls(row), option=orjson.OPT_APPEND_NEWLINE))
                if number % 1_000 == 0 or number == len(rows):
                    progress(f"{name} to JSON Lines", number, len(rows))
    path = Path(location)
    name = path.stem if path.exists() else location.rpartition("/")[2]
    return Source(name, ".jsonl", files)


def _load(location: str, split: str, percent: float, scratch: Path) -> Any:
    """Rows of one split, mapped from disk: a dataset larger than memory is no problem."""
    from datasets.exceptions import DatasetGenerationError
    from datasets.load import load_dataset
    from datasets.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    path = Path(location)
    try:
        if path.is_file():
            reader = _READERS.get(path.suffix)
            if reader is None:
                known = ", ".join((*SUFFIXES, *_READERS))
                raise SourceError(f"{path.name} is none of {known}")
            rows = load_dataset(reader, data_files={split: str(path)}, split=split, cache_dir=str(scratch))  # nosec B615 - a local file
        elif path.is_dir() or not location.startswith((".", "/")):
            cache = str(scratch) if path.is_dir() else None
            rows = load_dataset(location, split=split, cache_dir=cache)  # nosec B615 - the user names it
        else:
            raise SourceError(f"there is no file or folder {location}")
    except (OSError, ValueError, DatasetGenerationError) as error:
        raise SourceError(f"{location}, split {split}: {error}") from error
    return rows.select(range(max(1, round(len(rows) * percent / 100)))) if percent < 100 else rows


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """Undo what tables do to rows: a key that one message has becomes a null in all others."""
    return {
        key: [_message(turn) for turn in value] if key in _COLUMNS and isinstance(value, list) else value
        for key, value in row.items()
        if value is not None
    }


def _message(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    return {key: value for key, value in turn.items() if value is not None or key in ("content", "value")}
