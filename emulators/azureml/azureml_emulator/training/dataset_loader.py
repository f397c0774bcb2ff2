"""Rows of an uploaded file as the ``datasets`` 4.7.0 loader reads them, or its crash.

What it takes was recorded on files of many kinds (``bench/conformance`` of the project that this emulator
comes from); the wording of its errors is composed after its exceptions.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from typing import Any

CHUNK_BYTES = 10 << 20
"""The loader infers the schema from its first chunk."""

Row = dict[str, Any]

_LINE_END = re.compile(rb"\r\n|\r|\n")


class LoaderError(Exception):
    """A file cannot be loaded."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"DatasetGenerationError: An error occurred while generating the dataset. {cause}")


def load_rows(data: bytes) -> list[Row]:
    """The rows of JSON Lines, or of one JSON array.

    Raises:
        LoaderError: As the loader fails.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise LoaderError("JSON parse error: Invalid value. in row 0")
    try:
        rows = _read_lines(data)
    except LoaderError:
        rows = _read_array(data)  # which pandas reads, once Arrow has given up
        if not rows:
            raise
    if any(isinstance(row.get("messages"), list) for row in rows):
        # A column of lists and texts becomes one of JSON.
        rows = [_with_list(row) for row in rows]
    return rows


def _read_array(data: bytes) -> list[Row]:
    with suppress(ValueError):
        value = json.loads(data)
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            return value
    return []


def _with_list(row: Row) -> Row:
    messages = row.get("messages")
    if isinstance(messages, str):
        with suppress(ValueError):
            read = json.loads(messages)
            if isinstance(read, list):
                return {**row, "messages": read}
    return row


def _read_lines(data: bytes) -> list[Row]:
    rows: list[Row] = []
    kinds: dict[str, str] = {}
    first: Row | None = None
    position = 0
    lines = _LINE_END.split(data)
    if lines[-1] == b"":
        lines.pop()
    for number, line in enumerate(lines):
        early = position < CHUNK_BYTES
        position += len(line) + 1
        if not line.strip():
            if early:
                raise LoaderError(f"JSON parse error: Missing a name for object member. in row {number}")
            continue
        row = _read_line(line, number)
        if row is None:  # a row of nulls
            rows.append({})
            continue
        first = row if first is None else first
        _check_repeats(row, "", number)
        _check_keys(first, row, number, early)
        _check_kinds(kinds, row, number)
        rows.append(row)
    if first is None:
        raise LoaderError("JSON parse error: the file is empty")
    return rows


def _read_line(line: bytes, number: int) -> Row | None:
    try:
        text = line.decode()
        row = json.loads(text, object_pairs_hook=_object)
        if "\\ud" in text.lower():
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair cannot be written
    except ValueError as error:
        raise LoaderError(f"JSON parse error: {error} in row {number}") from None
    if row is not None and not isinstance(row, dict):
        raise LoaderError(f"JSON parse error: Column() changed from object to other in row {number}")
    return row


class _Repeating(dict[str, Any]):
    """A JSON object with a key that is given twice."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    repeating = _Repeating(row)
    times = Counter(key for key, _ in pairs)
    repeating.key = next(key for key in row if times[key] > 1)
    return repeating


def _check_repeats(value: object, place: str, number: int) -> None:
    """Refuses a key that an object gives twice, however deep, by Arrow's name for the place."""
    if isinstance(value, _Repeating):
        raise LoaderError(
            f"JSON parse error: Column({place}/{value.key}) was specified twice in row {number}"
        )
    if isinstance(value, dict):
        for key, item in value.items():
            _check_repeats(item, f"{place}/{key}", number)
    elif isinstance(value, list):
        for item in value:
            _check_repeats(item, f"{place}/[]", number)


def _check_keys(first: Row, row: Row, number: int, early: bool) -> None:
    missing = [key for key in first if key not in row]
    if missing and early:
        raise LoaderError(f"KeyError: {missing[0]!r} in row {number}")
    added = [key for key in row if key not in first]
    if added and not early:
        raise LoaderError(
            f"CastError: Couldn't cast: column names don't match, {added[0]!r} is new in row {number}"
        )


def _check_kinds(kinds: dict[str, str], row: Row, number: int) -> None:
    """Holds a message against the types seen so far, and adds its own."""
    for place, kind in _kinds(row).items():
        if kind == "null":
            continue
        before = kinds.setdefault(place, kind)
        if before != kind:
            raise LoaderError(
                f"JSON parse error: Column({place}) changed from {before} to {kind} in row {number}"
            )


def _kinds(row: Row) -> dict[str, str]:
    """JSON types of what is in messages, by Arrow's name for the place."""
    messages = row.get("messages")
    kinds: dict[str, str] = {}
    for message in messages if isinstance(messages, list) else []:
        kinds.setdefault("/messages/[]", _kind(message))
        if isinstance(message, dict):
            for key in ("role", "content"):
                if message.get(key) is not None:
                    kinds.setdefault(f"/messages/[]/{key}", _kind(message[key]))
    return kinds


def _kind(value: object) -> str:
    names = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")
