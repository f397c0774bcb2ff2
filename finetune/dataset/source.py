"""Where a dataset comes from: JSON Lines as they are, other files and Hugging Face datasets converted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from finetune.dataset.table_rows import Rows, SourceError, array_rows, csv_rows, dataset_rows, parquet_rows
from shared.domain.dataset import Split
from shared.domain.run.names import OPTIONS_FILE, SUFFIXES

# How names of JSON Lines may end, and how they end in the cloud.
_JSON_LINES = {suffix: suffix for suffix in SUFFIXES} | {
    suffix.replace("jsonl", "ndjson"): suffix for suffix in SUFFIXES
}
_TABLES: dict[str, Callable[[Path], Rows]] = {".csv": csv_rows, ".parquet": parquet_rows}
_ENDINGS = (*_JSON_LINES, ".json", *_TABLES)
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_SPLITS = ", ".join(Split)
_START = 64 * 1024  # bytes in which the first that is not blank is looked for

Progress = Callable[[str, int, int], None]  # what, how many so far, of how many


class SelectionError(SourceError):
    """A part of the dataset is asked for that such a dataset cannot be asked for."""


class SourceFile(NamedTuple):
    """One file in JSON Lines.

    Attributes:
        path: Where it is.
        suffix: What its name ends with in the cloud: one of `SUFFIXES`.
        label: What findings call it.
    """

    path: Path
    suffix: str
    label: str


class Source(NamedTuple):
    """A dataset ready to be checked and sent.

    Attributes:
        name: What it is called in the cloud unless told otherwise.
        files: Its files by split, of which `train` is one.
        options: What a folder's own `run.json` says.
    """

    name: str
    files: Mapping[Split, SourceFile]
    options: Mapping[str, Any]


class Selection(NamedTuple):
    """Which part of a dataset to take.

    Attributes:
        splits: The names that splits have there; a split that is not named is taken from training.
        config: The configuration of a Hugging Face dataset that has several.
        percent: How much of each split.
    """

    splits: Mapping[Split, str]
    config: str | None = None
    percent: float = 100.0


@contextmanager
def open_source(location: str, selection: Selection, progress: Progress) -> Iterator[Source]:
    """Find a dataset; what has to be converted lies in a temporary folder while the context lasts.

    Args:
        location: A file, a folder, or the name of a dataset on the Hugging Face Hub.
        selection: What to take of it.
        progress: Told about rows while they are converted.

    Raises:
        SourceError: There is no such dataset, or it cannot be read.
        SelectionError: The selection means nothing for such a dataset.
    """
    with TemporaryDirectory(prefix="finetune-dataset-") as folder:
        yield _Opening(selection, Path(folder), progress).open(location)


class _Opening:
    """One dataset on its way to JSON Lines."""

    def __init__(self, selection: Selection, scratch: Path, progress: Progress) -> None:
        self._selection = selection
        self._scratch = scratch
        self._progress = progress

    def open(self, location: str) -> Source:
        path = Path(location)
        if path.is_file():
            ending = _ending(path)
            if ending is None:
                raise SourceError(f"{location} is none of {', '.join(_ENDINGS)}")
            return Source(path.name[: -len(ending)], self._files({Split.TRAIN: path}), {})
        if location and path.is_dir():
            name = path.resolve().name
            if found := _split_files(path):
                return Source(name, self._files(found), _options(path / OPTIONS_FILE))
            return Source(name, self._splits(location, self._scratch), {})
        if not _HUB_NAME.fullmatch(location) or _ending(path):
            raise SourceError(f"there is no file or folder {location}")
        return Source(location.rpartition("/")[2], self._splits(location, None), {})

    def _files(self, found: Mapping[Split, Path]) -> dict[Split, SourceFile]:
        if self._selection.splits or self._selection.config:
            raise SelectionError(
                "--split, --validation-split, --test-split and --config are for Hugging Face datasets;"
                f" of files, name those of one folder {_SPLITS}"
            )
        return {split: self._file(split, path) for split, path in found.items()}

    def _file(self, split: Split, path: Path) -> SourceFile:
        ending = _ending(path) or ""
        label = path.name[: -len(ending)] + ending
        reader = _TABLES.get(ending)
        if ending == ".json" and _is_array(path):
            reader = array_rows
        if reader is None:
            if self._selection.percent < 100:
                raise SelectionError(f"{path.name} is sent as it is, so --percent cannot take a part of it")
            return SourceFile(path, _JSON_LINES.get(ending, ".jsonl"), label)
        return self._converted(split, label, partial(reader, path))

    def _splits(self, location: str, cache: Path | None) -> dict[Split, SourceFile]:
        config = self._selection.config
        files = {}
        for split, name in ({Split.TRAIN: "train"} | dict(self._selection.splits)).items():
            read = partial(dataset_rows, location, config, name, cache)
            files[split] = self._converted(split, f"{location}, split {name}", read)
        return files

    def _converted(self, split: Split, label: str, read: Callable[[], Rows]) -> SourceFile:
        path = self._scratch / f"{split}.jsonl"
        try:
            total, lines = read()
            taken = max(1, round(total * self._selection.percent / 100))
            with path.open("wb") as file:
                for number, line in enumerate(itertools.islice(lines, taken), 1):
                    file.write(line + b"\n")
                    if number % 1_000 == 0 or number == taken:
                        self._progress(f"{label} to JSON Lines", number, taken)
        except SourceError as error:
            words = str(error)
            raise SourceError(words if words.startswith(label) else f"{label}: {words}") from error
        except Exception as error:  # readers of other people's formats raise whatever they like
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            raise SourceError(f"{label}: {error or type(error).__name__}{cause}") from error
        return SourceFile(path, ".jsonl", f"{label} (one row per line)")


def _ending(path: Path) -> str | None:
    """What a name ends with, if files that do are understood; upper case counts as lower."""
    name = path.name.lower()
    return next((ending for ending in _ENDINGS if name.endswith(ending)), None)


def _split_files(folder: Path) -> dict[Split, Path]:
    """The files of a folder named after splits, or its only file; none if it has another layout.

    Raises:
        SourceError: Files lie beside them that would not be used.
    """
    data = {path: ending for path in sorted(folder.iterdir()) if path.is_file() and (ending := _ending(path))}
    data.pop(folder / OPTIONS_FILE, None)
    found: dict[Split, Path] = {}
    for path, ending in data.items():
        stem = path.name[: -len(ending)].lower()
        if stem in list(Split):
            found.setdefault(Split(stem), path)
    if Split.TRAIN not in found:
        if found:
            names = ", ".join(path.name for path in found.values())
            raise SourceError(f"{names} in {folder} has no training file beside it, train.jsonl (E005)")
        alone = len(data) == 1 and not any(path.is_dir() for path in folder.iterdir())
        return {Split.TRAIN: next(iter(data))} if alone else {}
    if unused := [path.name for path in data if path not in found.values()]:
        raise SourceError(
            f"{', '.join(unused)} in {folder} would not be used: a folder has one file each of {_SPLITS}"
        )
    return found


def _is_array(path: Path) -> bool:
    """Whether JSON is one array rather than a row per line.

    Raises:
        SourceError: It is one object over several lines.
    """
    with path.open("rb") as file:
        start = file.read(_START).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.partition(b"\n")[0].rstrip() == b"{":
        raise SourceError(f"{path.name} is one JSON object; make it an array of rows, or one row per line")
    return start.startswith(b"[")


def _options(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not one JSON object of options: {error}") from error
