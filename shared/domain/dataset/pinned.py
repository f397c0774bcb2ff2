"""The pinned copy: three files that hold `messages` and nothing else, one row a line."""

import hashlib
from collections.abc import Callable

from .report import SplitSummary
from .splitting import Row

_BEGIN, _END = b'{"messages":', b"}\n"
_SEPARATOR = _END + _BEGIN
_PIECE = 1 << 20  # rows are handed on in pieces of about this many bytes


class PinnedFile:
    """Writes one split to its sink, and sums it up."""

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink = sink
        self._rows: list[bytes] = []
        self._digests: list[bytes] = []
        self._waiting = 0
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._tokens = 0
        self.rows = 0

    def add(self, row: Row) -> None:
        """Append one row."""
        self._rows.append(row.encoded)
        self._digests.append(row.digest_bytes)
        self._tokens += row.tokens
        self._waiting += len(row.encoded)
        if self._waiting >= _PIECE:
            self._hand_on()

    def finish(self) -> SplitSummary:
        """Hand on what is left.

        Returns:
            What was written.
        """
        if self._rows:
            self._hand_on()
        return SplitSummary(
            rows=self.rows, bytes=self._bytes, tokens=self._tokens, digest=self._hash.hexdigest()
        )

    def _hand_on(self) -> None:
        piece = b"".join((_BEGIN, _SEPARATOR.join(self._rows), _END))
        self._hash.update(b"".join(self._digests))
        self.rows += len(self._rows)
        self._bytes += len(piece)
        self._rows.clear()
        self._digests.clear()
        self._waiting = 0
        self._sink(piece)
