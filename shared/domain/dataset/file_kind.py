"""Recognises files of another kind under a name of JSON Lines, by how they begin."""

import re

SNIFFED = 512
"""Bytes at a file's start that are looked at."""

_SIGNATURES = (
    (b"\x1f\x8b", "is gzip data: let its name end with .jsonl.gz"),
    (b"\x28\xb5\x2f\xfd", "is zstd data: let its name end with .jsonl.zst"),
    (b"PAR1", "is Parquet: the upload tool converts files that are named .parquet"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet: save its rows as JSON Lines"),
    (b"\xff\xfe", "is UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16: save it as UTF-8"),
)
_NAME = r'"?[A-Za-z_][\w .-]{0,60}"?'
_CSV_HEADER = re.compile(rf"{_NAME}(?:[,;\t]{_NAME})+\r?")


def foreign_kind(start: bytes) -> str | None:
    """What a file is instead of JSON Lines, and what to do; None if it may be that.

    Args:
        start: Its first bytes, `SNIFFED` of them if it has so many.
    """
    for signature, message in _SIGNATURES:
        if start.startswith(signature):
            return message
    if len(start) >= 8 and (_is_every_other(start[0::2]) or _is_every_other(start[1::2])):
        return "is UTF-16 without a byte order mark: save it as UTF-8"
    line, ended, _ = start.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    if ended and _CSV_HEADER.fullmatch(line.decode(errors="replace")):
        return "is CSV: the upload tool converts files that are named .csv"
    return None


def _is_every_other(every_other: bytes) -> bool:
    return len(every_other) > 2 and 10 * every_other.count(0) > 9 * len(every_other)
