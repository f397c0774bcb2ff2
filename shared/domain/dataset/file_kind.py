"""Recognises files of another kind under a name of JSON Lines, by how they begin."""

import re

SNIFFED = 512
"""Bytes at a file's start that are looked at."""

_SIGNATURES = (
    (b"\x1f\x8b", "is gzip data: let its name end with .jsonl.gz"),
    (b"\x28\xb5\x2f\xfd", "is zstd data: let its name end with .jsonl.zst"),
    (b"PAR1", "is Parquet: the upload tool converts files that are named .parquet"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet: save its rows as JSON Lines"),
    (b"\xff\xfe\0\0", "is UTF-32: save it as UTF-8"),
    (b"\0\0\xfe\xff", "is UTF-32: save it as UTF-8"),
    (b"BZh", "is bzip2 data: compress it with gzip or zstd"),
    (b"\xfd7zXZ\0", "is xz data: compress it with gzip or zstd"),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it"),
    (b"ARROW1", "is Arrow: save its rows as JSON Lines"),
    (b"SQLite format 3", "is a SQLite database: save its rows as JSON Lines"),
    (b"%PDF-", "is a PDF: write its texts as conversations"),
    (b"version https://git-lfs.github.com", "is a pointer of Git LFS: fetch the file itself, git lfs pull"),
    (b"<?xml", "is XML: save its rows as JSON Lines"),
    (b"data: {", "is a stream of events: remove the `data:` before each object"),
    (b"\x1e{", "is a JSON text sequence (RFC 7464): remove the character 1E before each object"),
    (b"\xff\xfe", "is UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16: save it as UTF-8"),
)
_PAGE = re.compile(rb"\s*<(?:!doctype html|html)", re.IGNORECASE)
_PYTHON = re.compile(rb"\{\s*'[^']{0,80}'\s*:")
_TAR = slice(257, 262)
_NAME = r'"?[A-Za-z_][\w .-]{0,60}"?'
_CSV_HEADER = re.compile(rf"{_NAME}(?:[,;|\t]{_NAME})+\r?")


def foreign_kind(start: bytes) -> str | None:
    """What a file is instead of JSON Lines, and what to do; None if it may be that.

    Args:
        start: Its first bytes, `SNIFFED` of them if it has so many.
    """
    for signature, message in _SIGNATURES:
        if start.startswith(signature):
            return message
    if start[_TAR] == b"ustar":
        return "is a tar archive: unpack it"
    if _PAGE.match(start):
        return "is a web page, perhaps of a sign-in: download the file itself"
    if _PYTHON.match(start):
        return "is Python's spelling of objects, not JSON: write each with json.dumps"
    if _is_every_other_of_four(start):
        return "is UTF-32 without a byte order mark: save it as UTF-8"
    if len(start) >= 8 and (_is_every_other(start[0::2]) or _is_every_other(start[1::2])):
        return "is UTF-16 without a byte order mark: save it as UTF-8"
    line, ended, _ = start.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    if ended and _CSV_HEADER.fullmatch(line.decode(errors="replace")):
        return "is CSV: the upload tool converts files that are named .csv"
    return None


def _is_every_other_of_four(start: bytes) -> bool:
    """Whether three of four bytes are NUL, as of ASCII in UTF-32."""
    return len(start) >= 12 and start.count(0) * 10 > len(start) * 7


def _is_every_other(every_other: bytes) -> bool:
    return len(every_other) > 2 and 10 * every_other.count(0) > 9 * len(every_other)
