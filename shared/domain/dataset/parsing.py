"""Strict JSON out of one line, with words that help where it is none, and every key that was given twice."""

import json
from collections import Counter
from typing import Any, NamedTuple, NoReturn

from .codes import Code
from .naming import kind

BOM = b"\xef\xbb\xbf"


class Finding(NamedTuple):
    """One thing about a line."""

    code: Code
    message: str


class Fault(Exception):  # noqa: N818 - ends the reading of one line, never leaves this package
    """A fault beyond which a line cannot be read."""

    retryable = False

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(code, message)


class Object(dict[str, Any]):
    """A JSON object that remembers which keys were given twice."""

    repeated: tuple[str, ...] = ()


def parse_row(line: bytes, before: bytes) -> Object:
    """Decode one line.

    Args:
        line: One line without its line end and without spaces around it.
        before: What was taken away before it, so that columns are those of the file.

    Raises:
        Fault: It is no JSON object.
    """
    columns = len(before.replace(BOM, b""))  # which no editor counts
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        hint = " (the file looks like UTF-16)" if line[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise Fault(
            Code.INVALID_UTF8,
            f"byte {len(before) + error.start + 1} is not UTF-8{hint}; save the file as UTF-8",
        ) from None
    if "\0" in text:
        column = columns + text.index("\0") + 1
        hint = " (the file looks like UTF-16)" if 2 * text.count("\0") >= len(text) - 1 else ""
        raise Fault(Code.NUL_CHARACTER, f"NUL character in column {column}{hint}; remove it")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=float)
    except json.JSONDecodeError as error:
        raise Fault(Code.INVALID_JSON, _json_message(error, columns)) from None
    except RecursionError:
        raise Fault(Code.INVALID_JSON, "values are nested too deeply") from None
    if isinstance(value, Object):
        return value
    hint = "; write one object per line instead of one array" if isinstance(value, list) else ""
    raise Fault(Code.NOT_AN_OBJECT, f"the line holds {kind(value)}, not an object{hint}")


def _object(pairs: list[tuple[str, Any]]) -> Object:
    value = Object(pairs)
    if len(value) != len(pairs):
        times = Counter(key for key, _ in pairs)
        value.repeated = tuple(key for key in value if times[key] > 1)
    return value


def _no_constant(name: str) -> NoReturn:
    raise Fault(Code.INVALID_JSON, f"{name} is not a JSON value; write null or a number")


def _json_message(error: json.JSONDecodeError, columns: int) -> str:
    start = error.doc.strip()
    if start in ("[", "{"):
        return "the file is JSON over several lines; write one object per line (JSON Lines)"
    if error.doc[: error.pos].rstrip(" \t").endswith("\r"):
        return "the lines end with CR alone, as on classic Mac OS; end them with LF"
    return f"column {columns + error.pos + 1}: {error.msg[:1].lower()}{error.msg[1:]}"
