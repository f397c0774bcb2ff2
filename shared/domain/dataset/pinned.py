"""The pinned copy: three files that hold `messages` and nothing else, one row a line."""

from collections.abc import Callable

import xxhash

from .report import SplitSummary

_BEGIN, _END = b'{"messages":', b"}\n"
_PIECE = 1 << 18  # rows are handed on in pieces of about this many bytes


class PinnedFile:
    """Writes one split to its sink, and sums it up."""

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink = sink
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
            self._hand_on()

    def finish(self) -> SplitSummary:
        """Hand on what is left.

        Returns:
            What was written.
        """
        if self._piece:
            self._hand_on()
        return SplitSummary(rows=self._rows, bytes=self._bytes, digest=self._hash.hexdigest())

    def _hand_on(self) -> None:
        piece = bytes(self._piece)
        self._piece.clear()
        self._hash.update(piece)
        self._bytes += len(piece)
        self._sink(piece)
