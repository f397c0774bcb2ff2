"""The snapshot: three files that hold `messages` and nothing else, one row a line."""

from collections.abc import Callable

import xxhash

from .conversation import decode_messages
from .report import SplitSummary
from .tokens import may_truncate_answers

_BEGIN, _END = b'{"messages":', b"}\n"
_PIECE = 1 << 18  # rows are written in pieces of about this many bytes


class SnapshotFile:
    """Writes one split to its sink, and sums it up."""

    def __init__(self, sink: Callable[[bytes], object], context_window: int) -> None:
        self._sink = sink
        self._window = context_window
        self._piece = bytearray()  # copies: orjson's own buffers take 4 KiB however short the row
        self._hash = xxhash.xxh3_128()
        self._rows = 0
        self._bytes = 0

    def add(self, _digest: int, encoded: bytes) -> None:
        """Append one row, given its messages as JSON."""
        piece = self._piece
        piece += _BEGIN
        piece += encoded
        piece += _END
        self._rows += 1
        if len(piece) >= _PIECE:
            self._flush()

    def finish(self) -> SplitSummary:
        """Write what is left.

        Returns:
            What was written.
        """
        if self._piece:
            self._flush()
        return SplitSummary(rows=self._rows, bytes=self._bytes, digest=self._hash.hexdigest())

    def _flush(self) -> None:
        piece = bytes(self._piece) if self._bytes else self._with_safe_first_row(bytes(self._piece))
        self._piece.clear()
        self._hash.update(piece)
        self._bytes += len(piece)
        self._sink(piece)

    def _with_safe_first_row(self, piece: bytes) -> bytes:
        """Move a row that is sure to be trained on to the front: the trainer crashes if it drops row 0."""
        start = 0
        while start < len(piece):
            end = piece.index(b"\n", start) + 1
            if not self._may_be_dropped(piece[start:end]):
                return piece[start:end] + piece[:start] + piece[end:]
            start = end
        return piece

    def _may_be_dropped(self, line: bytes) -> bool:
        if len(line) <= self._window:
            return False
        return may_truncate_answers(decode_messages(line[len(_BEGIN) : -len(_END)]), self._window)
