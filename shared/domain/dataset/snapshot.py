"""The snapshot: three files that hold `messages` and nothing else, one row a line."""

from typing import NamedTuple, Protocol

import xxhash

from .report import SplitSummary

_BEGIN, _END = b'{"messages":', b"}\n"
_PIECE = 1 << 18  # rows are written in pieces of about this many bytes


class Sink(Protocol):
    """Where the bytes of one split go."""

    def write(self, piece: bytes) -> object:
        """Append a piece."""

    def write_first(self, piece: bytes) -> object:
        """Put a piece before all others; called once at most, at the end."""


class NoSink:
    """Keeps nothing: for a validation that writes no snapshot."""

    def write(self, piece: bytes) -> None:
        """See `Sink.write`."""

    def write_first(self, piece: bytes) -> None:
        """See `Sink.write_first`."""


class SnapshotState(NamedTuple):
    """How far a split's file is, to be written down."""

    piece: bytes
    chain: bytes
    rows: int
    size: int
    last: bytes | None
    first: bytes | None
    began_unsafe: bool
    unsafe_rows: int


class SnapshotFile:
    """Writes one split to its sink, and sums it up.

    The trainer fails if it drops the first or the last row of a file, so neither is a row that it may drop,
    as
    long as there are others: the newest safe row is kept back until the next one comes, and the first one
    is put
    before everything if unsafe rows came before it.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._piece = bytearray()  # copies: orjson's own buffers take 4 KiB however short the row
        self._chain = b""  # digest of all pieces before this one
        self._rows = 0
        self._bytes = 0
        self._last: bytes | None = None
        self._first: bytes | None = None
        self._began_unsafe = False
        self._unsafe_rows = 0

    @property
    def may_end_in_loss(self) -> bool:
        """Whether the first or the last row is one that the trainer may drop, for want of others."""
        return self._unsafe_rows > 0 and self._rows - self._unsafe_rows < 2

    def add(self, _digest: int, encoded: bytes, safe: bool) -> None:
        """Append one row, given its messages as JSON and whether the trainer is sure to keep it."""
        self._rows += 1
        piece = self._piece
        if not safe:
            self._unsafe_rows += 1
            self._began_unsafe = self._began_unsafe or self._rows == 1
        elif self._began_unsafe and self._first is None:
            self._first = encoded
            return
        elif self._rows > 1:  # the first row is written at once
            last, self._last = self._last, encoded
            if last is None:
                return
            encoded = last
        piece += _BEGIN
        piece += encoded
        piece += _END
        if len(piece) >= _PIECE:
            self._flush()

    def finish(self) -> SplitSummary:
        """Write what is left.

        Returns:
            What was written.
        """
        if self._last is not None:
            self._piece += _BEGIN + self._last + _END
        if self._piece:
            self._flush()
        if self._first is not None:
            first = _BEGIN + self._first + _END
            self._bytes += len(first)
            self._chain = xxhash.xxh3_128_digest(first + self._chain)
            self._sink.write_first(first)
        return SplitSummary(rows=self._rows, bytes=self._bytes, digest=self._chain.hex())

    @property
    def state(self) -> SnapshotState:
        """What `restore` takes."""
        return SnapshotState(
            bytes(self._piece),
            self._chain,
            self._rows,
            self._bytes,
            self._last,
            self._first,
            self._began_unsafe,
            self._unsafe_rows,
        )

    def restore(self, state: SnapshotState) -> None:
        """Go on with a file that was begun."""
        self._piece = bytearray(state.piece)
        self._chain, self._rows, self._bytes = state.chain, state.rows, state.size
        self._last, self._first = state.last, state.first
        self._began_unsafe, self._unsafe_rows = state.began_unsafe, state.unsafe_rows

    def _flush(self) -> None:
        piece = bytes(self._piece)
        self._piece.clear()
        chain = xxhash.xxh3_128(self._chain)
        chain.update(piece)
        self._chain = chain.digest()
        self._bytes += len(piece)
        self._sink.write(piece)
