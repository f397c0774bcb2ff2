"""Bytes into lines, in constant memory.

Only a newline ends a line: U+2028 and its like are legal inside JSON strings. Nothing here knows what a
line means.
"""

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import NamedTuple

# Lines are cut out of pieces of this size: they stay in the processor's cache, and a piece of nothing but
# newlines cannot become a list of millions.
_PIECE = 128 * 1024


class LongLine(NamedTuple):
    """A line that was skipped because it is longer than allowed."""

    length: int  # bytes


def read_lines(chunks: Iterable[bytes], max_line_bytes: int) -> Iterator[list[bytes] | LongLine]:
    """Cut chunks into lines, whatever the chunks' boundaries.

    Args:
        chunks: The file's bytes in order; a chunk may be empty or of any size.
        max_line_bytes: Longer lines, their newline not counted, are skipped and never held in memory.

    Yields:
        Consecutive lines, each with its newline, which only the file's last line may lack; and in their
        place the lines that were too long.
    """
    begun: list[bytes] = []  # the pieces of a line whose end has not come yet
    length = 0
    for piece in _pieces(chunks):
        end = piece.find(b"\n") + 1
        if not end:
            length += len(piece)
            begun.append(piece)
            if length > max_line_bytes:
                begun.clear()
            continue
        if length:
            length += end - 1
            if length > max_line_bytes:
                yield LongLine(length)
            else:
                begun.append(piece[:end])
                yield [b"".join(begun)]
            piece = piece[end:]  # noqa: PLW2901 - the line that it ended is done with
        lines = BytesIO(piece).readlines()
        begun = [lines.pop()] if lines and not lines[-1].endswith(b"\n") else []
        length = len(begun[0]) if begun else 0
        if max_line_bytes >= _PIECE:  # no line within one piece can be longer
            yield lines
        else:
            yield from _without_long_lines(lines, max_line_bytes)
    if length > max_line_bytes:
        yield LongLine(length)
    elif length:
        yield [b"".join(begun)]


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) <= _PIECE:
            if chunk:
                yield chunk
        else:
            for start in range(0, len(chunk), _PIECE):
                yield chunk[start : start + _PIECE]


def _without_long_lines(lines: list[bytes], max_line_bytes: int) -> Iterator[list[bytes] | LongLine]:
    for line in lines:
        if len(line) - 1 > max_line_bytes:
            yield LongLine(len(line) - 1)
        else:
            yield [line]
