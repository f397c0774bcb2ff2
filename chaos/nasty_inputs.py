"""Inputs made to be slow: a reader that looks twice at anything, or tells of every fault, takes minutes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import zstandard

USER, ANSWER = '{"role":"user","content":', '{"role":"assistant","content":"a"}'


def _line(content: str) -> bytes:
    return f'{{"messages":[{USER}{content}}},{ANSWER}]}}\n'.encode()


def _fill(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


def _keys(size: int, prefix: str, value: str = "1") -> bytes:
    return ",".join(f'"{prefix}{number}":{value}' for number in range(size // (len(prefix) + 10))).encode()


NASTY: dict[str, Callable[[int], bytes]] = {
    "byte order marks": lambda size: _fill(b"\xef\xbb\xbf", size) + _line('"q"'),
    "byte order marks and a fault": lambda size: _fill(b"\xef\xbb\xbf", size) + b"{\n",
    "a byte order mark on every line": lambda size: _fill(b"\xef\xbb\xbf\n", size),
    "spaces": lambda size: _fill(b" ", size) + _line('"q"'),
    "spaces after": lambda size: _line('"q"')[:-1] + _fill(b" ", size) + b"\n",
    "spaces around a fault": lambda size: _fill(b" ", size // 2) + b"{" + _fill(b" ", size // 2) + b"\n",
    "tabs and returns": lambda size: _fill(b"\t\r", size) + b"\n",
    "returns": lambda size: _fill(b"\r", size),
    "blank lines": lambda size: _fill(b"\n", size),
    "blank lines of Windows": lambda size: _fill(b"\r\n", size),
    "empty objects": lambda size: _fill(b"{}\n", size),
    "brackets": lambda size: _fill(b"[", size) + b"\n",
    "braces": lambda size: _fill(b'{"a":', size) + b"\n",
    "brackets in a row": lambda size: (
        b'{"messages":' + _fill(b"[", size // 2) + _fill(b"]", size // 2) + b"}\n"
    ),
    "quotation marks": lambda size: _fill(b'"', size) + b"\n",
    "backslashes": lambda size: b'{"a":"' + _fill(b"\\", size) + b"\n",
    "escapes": lambda size: _line('"' + "\\u0022" * (size // 6) + '"'),
    "half surrogates": lambda size: _line('"' + "\\ud800" * (size // 6) + '"'),
    "half surrogates in keys": lambda size: b'{"' + _fill(b"\\ud800", size) + b'":1}\n',
    "NUL characters": lambda size: _fill(b"\0", size) + b"\n",
    "NUL escapes": lambda size: _line('"' + "\\u0000" * (size // 6) + '"'),
    "bytes that are no UTF-8": lambda size: _fill(b"\xff", size) + b"\n",
    "UTF-16": lambda size: ("{}" * (size // 4)).encode("utf-16") + b"\n",
    "digits of an integer": lambda size: b'{"a":' + _fill(b"9", size) + b"}\n",
    "digits of a fraction": lambda size: b'{"a":0.' + _fill(b"9", size) + b"}\n",
    "digits of an exponent": lambda size: b'{"a":1e' + _fill(b"9", size) + b"}\n",
    "keys": lambda size: b"{" + _keys(size, "k") + b"}\n",
    "keys given twice": lambda size: b"{" + _keys(size // 2, "k") + b"," + _keys(size // 2, "k") + b"}\n",
    "one key again and again": lambda size: b"{" + _fill(b'"k":1,', size) + b'"k":1}\n',
    "keys of preference data": lambda size: b"{" + _keys(size, "score_") + b"}\n",
    "keys that nearly match": lambda size: b'{"' + _fill(b"image_chosen_", size) + b'":1}\n',
    "keys beside messages": lambda size: b"{" + _keys(size, "k") + b',"messages":[]}\n',
    "keys of a message": lambda size: b'{"messages":[{' + _keys(size, "k") + b"}]}\n",
    "new keys on every line": lambda size: b"".join(
        b'{"k%d":1,"messages":[]}\n' % number for number in range(size // 24)
    ),
    "messages": lambda size: b'{"messages":[' + _fill(b'{"role":"user"},', size) + b"{}]}\n",
    "empty lists for messages": lambda size: b'{"messages":[' + _fill(b"[],", size) + b"[]]}\n",
    "parts of a content": lambda size: _line("[" + '{"text":"a"},' * (size // 14) + '"b"]'),
    "a history": lambda size: (
        b'{"history":[' + _fill(b'["a","b"],', size) + b'["a","b"]],"prompt":"a","answer":"b"}\n'
    ),
    "marks of templates": lambda size: _line('"' + "<|im_start|>" * (size // 12) + '"'),
    "marks that nearly match": lambda size: _line('"' + "<|" * (size // 2) + '"'),
    "spaces before a mark": lambda size: _line('"' + " " * size + '"'),
    "line ends before a mark": lambda size: _line('"' + "\\n" * (size // 2) + '<image>"'),
    "ends of texts that nearly match": lambda size: _line('"' + "</s> " * (size // 5) + '"'),
    "blanks and letters": lambda size: _line('"' + "a  " * (size // 3) + '"'),
    "JSON in a text": lambda size: b'{"messages":' + json.dumps("[" * (size // 2)).encode() + b"}\n",
    "one row again and again": lambda size: _fill(_line('"q"'), size),
    "empty members of gzip": lambda size: _fill(gzip.compress(b"", mtime=0), 4 * size),
    "members of gzip": lambda size: _fill(gzip.compress(b"{}\n", mtime=0), size // 4),
    "padding of gzip": lambda size: gzip.compress(b"{}\n", mtime=0) + bytes(size),
    "empty frames of zstd": lambda size: _fill(zstandard.ZstdCompressor().compress(b""), size // 4),
    "frames of zstd": lambda size: _fill(zstandard.ZstdCompressor().compress(b"{}\n"), size // 4),
    "blanks in gzip": lambda size: gzip.compress(_fill(b" \n", size), mtime=0),
}
"""By name; each makes about as many bytes as it is told to."""


def suffix_of(name: str) -> str:
    """What the file's name ends in for that input."""
    return ".gz" if "gzip" in name else ".zst" if "zstd" in name else ""
