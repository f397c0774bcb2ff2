"""The pinned copy: three files that hold `messages` and nothing else, one row a line."""

from collections.abc import Callable

import xxhash

from .report import SplitSummary

_BEGIN, _END = b'{"messages":', b"}\n"
_BETWEEN = _END + _BEGIN
_PIECE = 1 << 18  # rows are handed on in pieces of about this many bytes


class PinnedFile:
    """Writes one split to its sink, and sums it up."""

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink = sink
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._hash = xxhash.xxh3_128()
        self._rows = 0
        self._bytes = 0

    def add(self, _digest: int, encoded: bytes) -> None:
        """Append one row, given its messages as JSON."""
        self._waiting.append(encoded)
        self._waiting_bytes += len(encoded)
        if self._waiting_bytes >= _PIECE:
            self._hand_on()

    def finish(self) -> SplitSummary:
        """Hand on what is left.

        Returns:
            What was written.
        """
        if self._waiting:
            self._hand_on()
        return SplitSummary(rows=self._rows, bytes=self._bytes, digest=self._hash.hexdigest())

    def _hand_on(self) -> None:
        piece = b"".join((_BEGIN, _BETWEEN.join(self._waiting), _END))
        self._rows += len(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._hash.update(piece)
        self._bytes += len(piece)
        self._sink(piece)
