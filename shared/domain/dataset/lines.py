"""Bytes into lines, in constant memory.

Only a newline ends a line: U+2028 and its like are legal inside JSON strings.

Nothing here knows what a line means.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Lines are cut out of pieces of this size: they stay in the processor's cache, and a piece of nothing but
# newlines cannot become a list of millions.
_PIECE = 256 * 1024


class LineBatch(NamedTuple):
    """Consecutive lines without their line ends."""

    first_number: int  # counted from 1
    lines: list[bytes]
    ended: bool  # False only for a last line that no newline ends


class LongLine(NamedTuple):
    """A line that was skipped because it is longer than allowed."""

    number: int
    length: int  # bytes


def read_lines(chunks: Iterable[bytes], max_line_bytes: int) -> Iterator[LineBatch | LongLine]:
    """Cut chunks into lines, whatever the chunks' boundaries.

    Args:
        chunks: The file's bytes in order; a chunk may be empty or of any size.
        max_line_bytes: Longer lines are passed over, never held, and come out as a `LongLine`.

    Yields:
        Batches of lines and, in their place, the lines that were too long.
    """
    number = 1
    begun: list[bytes] = []  # the pieces of a line whose end has not come yet
    length = 0
    for piece in _pieces(chunks):
        newline = piece.find(b"\n")
        if newline < 0:
            length += len(piece)
            if length <= max_line_bytes:
                begun.append(piece)
            else:
                begun.clear()
            continue
        length += newline
        if length > max_line_bytes:
            yield LongLine(number, length)
            number += 1
            lines = piece[newline + 1 :].split(b"\n")
        else:
            begun.append(piece)
            lines = (b"".join(begun) if len(begun) > 1 else piece).split(b"\n")
        rest = lines.pop()
        begun = [rest] if rest else []
        length = len(rest)
        yield from _batches(lines, number, max_line_bytes)
        number += len(lines)
    if length > max_line_bytes:
        yield LongLine(number, length)
    elif length:
        yield LineBatch(number, [b"".join(begun)], ended=False)


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) <= _PIECE:
            if chunk:
                yield chunk
        else:
            for start in range(0, len(chunk), _PIECE):
                yield chunk[start : start + _PIECE]


def _batches(lines: list[bytes], number: int, max_line_bytes: int) -> Iterator[LineBatch | LongLine]:
    if max_line_bytes >= _PIECE:  # no line within one piece can be longer
        if lines:
            yield LineBatch(number, lines, ended=True)
        return
    for offset, line in enumerate(lines):
        if len(line) > max_line_bytes:
            yield LongLine(number + offset, len(line))
        else:
            yield LineBatch(number + offset, [line], ended=True)
