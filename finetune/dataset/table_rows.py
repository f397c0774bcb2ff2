"""Rows of what is not JSON Lines, each as one line of JSON: arrays, CSV, Parquet, `datasets`.

Nothing here guesses: text that looks like a number, a date or "NA" stays the text that it is.
"""

from __future__ import annotations

import csv
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import orjson

from shared.domain.dataset import Code
from shared.domain.dataset.keys import (
    CONTENT_KEYS,
    CONTEXT_KEYS,
    HISTORY_KEYS,
    SYSTEM_KEYS,
    TOOL_MESSAGE_KEYS,
    TOOL_ROW_KEYS,
)
from shared.domain.dataset.layouts import LAYOUTS
from shared.domain.dataset.row_plan import plan_row

_NO_NEWLINES = bytes.maketrans(b"\r\n", b"  ")  # within JSON both are white space between tokens only
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 128 Ki
_PIECE = 1 << 20
_LAYOUT_KEYS = frozenset(
    key for layout in LAYOUTS for key in (*layout.turns, *layout.question, *layout.answer)
).union(SYSTEM_KEYS, CONTEXT_KEYS, HISTORY_KEYS)
_HEADERS = "instruction and output, prompt and completion, or question and answer"


class SourceError(Exception):
    """The dataset cannot be read from where it is said to be."""

    retryable = False


class Rows(NamedTuple):
    """A table's rows as JSON without newlines, and how many there are."""

    total: int
    lines: Iterator[bytes]


def array_rows(path: Path) -> Rows:
    """The elements of a JSON array, byte for byte, out of a file that is mapped rather than read.

    Raises:
        SourceError: The file is not one JSON array.
    """
    with path.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if bytes(content[:3]) == b"\xef\xbb\xbf":
        content = content[3:]
    try:
        elements = msgspec.json.decode(content, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise SourceError(f"{path.name}: {_with_line(str(error), content)}") from error
    return Rows(len(elements), (bytes(element).translate(_NO_NEWLINES) for element in elements))


def csv_rows(path: Path) -> Rows:
    """The rows of a CSV file with a header; every cell is text."""
    return Rows(sum(1 for _ in _csv_records(path)), map(orjson.dumps, _csv_records(path)))


def parquet_rows(path: Path) -> Rows:
    """The rows of a Parquet file, read in batches."""
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(path)
    batches = file.iter_batches(batch_size=1_000)
    return Rows(file.metadata.num_rows, _json_lines(row for batch in batches for row in batch.to_pylist()))


def dataset_rows(location: str, config: str | None, split: str, cache: Path | None) -> Rows:
    """The rows of one split of what `datasets` reads: a dataset of the Hub, or a folder in its layout."""
    from datasets.load import load_dataset
    from datasets.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    cache_dir = None if cache is None else str(cache)
    # The user names it, revision and all.
    rows = load_dataset(location, config, split=split, cache_dir=cache_dir)  # nosec B615
    return Rows(len(rows), _json_lines(_undecoded(rows)))


def _undecoded(rows: Any) -> Any:
    """Rows whose images and sounds are not decoded: that they are there is all that validation looks at."""
    for column, feature in rows.features.items():
        if getattr(feature, "decode", False):
            rows = rows.cast_column(column, type(feature)(decode=False))
    return rows


def _csv_records(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open("rb") as file:
        reader = csv.DictReader(_text_lines(file, path.name), strict=True)
        try:
            header = reader.fieldnames or ()
            if len(set(header)) < len(header):
                raise SourceError(f"{path.name}: two columns have the same name: {', '.join(header)}")
            _check_header(header, path.name)
            for row in reader:
                if None in row or None in row.values():
                    raise SourceError(
                        f"{path.name} line {reader.line_num}: the row does not have as many cells as the"
                        f" header, {len(header)}; put cells that hold commas in quotation marks"
                    )
                yield row
        except csv.Error as error:
            if "new-line character" in str(error):
                raise SourceError(
                    f"{path.name}: its lines end with CR alone, as on classic Mac OS; end them with LF"
                ) from error
            raise SourceError(f"{path.name} line {reader.line_num + 1}: {error}") from error


def _check_header(header: Sequence[str], name: str) -> None:
    """Refuse columns that no layout fits, which would be said of every row otherwise."""
    signs = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
    if header and header[0].startswith("sep="):
        raise SourceError(f"{name}: its first line, which begins with sep=, is Excel's own; remove it")
    if len(header) == 1 and (sign := next((sign for sign in signs if sign in header[0]), None)):
        raise SourceError(f"{name}: its columns are separated by {signs[sign]}; separate them by commas")
    plan = plan_row(header, ())
    if header and plan.fault is not None and plan.fault[0] is Code.NO_MESSAGES:
        _, _, hint = plan.fault[1].partition("; ")
        hint = hint if hint.startswith("write ") else f"name them {_HEADERS}"
        raise SourceError(f"{name}: no layout has the columns {', '.join(header)[:200]}; {hint}")


def _text_lines(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{name} line {number} is not UTF-8 (byte {error.start + 1} of it); save the file as UTF-8"
            ) from error


def _json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for number, row in enumerate(rows, 1):
        yield _json_line(_without_nulls(row), number)


def _json_line(row: Mapping[str, Any], number: int) -> bytes:
    for column, value in row.items():
        if column not in _LAYOUT_KEYS:
            continue
        try:
            orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME)
        except orjson.JSONEncodeError as error:
            raise SourceError(f"row {number}, column {column}: {error}; make the column text") from error
    return orjson.dumps(row, default=_kind_of_value, option=orjson.OPT_NON_STR_KEYS)


def _kind_of_value(value: object) -> str:
    """What stands for a value that JSON has no form for, in a column whose texts are not read."""
    return type(value).__name__


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """Undo what tables do to rows: a key that one message has becomes a null in all others."""
    return {
        key: _whole(value)
        if key in TOOL_ROW_KEYS
        else [_message(turn) for turn in value]
        if isinstance(value, list)
        else value
        for key, value in row.items()
        if value is not None
    }


def _message(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    return {
        key: _whole(value) if key in TOOL_MESSAGE_KEYS else value
        for key, value in turn.items()
        if value is not None or key in CONTENT_KEYS
    }


def _whole(value: Any) -> Any:
    """Functions and calls as they were: in a table each has the parameters of all others, as null."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items() if item is not None}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _with_line(message: str, content: memoryview) -> str:
    """Add the line to msgspec's "(byte 123)"."""
    text, separator, place = message.rpartition(" (byte ")
    if not separator:
        return f"{message}: the array does not end"
    end = int(place.rstrip(")"))
    pieces = (bytes(content[start : min(start + _PIECE, end)]) for start in range(0, end, _PIECE))
    line = 1 + sum(piece.count(b"\n") for piece in pieces)
    return f"{text} (byte {end + 1:,}, line {line:,})"
