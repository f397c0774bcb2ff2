"""Which split a conversation goes to: by its content and the seed alone, so that equal ones stay together."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .rules import GateRules, Split

# Rows that are held back before the first is placed, so that small datasets get exact shares.
_HELD_ROWS = 1_000
_HELD_BYTES = 4 << 20

_RANKS = 1 << 32
_MIX = 0x9E3779B97F4A7C15  # 2^64 / the golden ratio: Fibonacci hashing
_WORD = (1 << 64) - 1


class Row(NamedTuple):
    """A row on its way into the pinned copy."""

    digest: int  # 64 bits of the content's hash
    digest_bytes: bytes  # all 128 bits of it
    encoded: bytes
    tokens: int


def seed_key(seed: int) -> int:
    """Turn a seed into the key that `rank` takes."""
    return (seed * _MIX + _MIX) & _WORD


def rank(digest: int, key: int) -> int:
    """A number from 0 to 2^32 - 1 that depends on nothing but a row's content and the seed."""
    return (((digest ^ key) * _MIX) & _WORD) >> 32


class Splitter:
    """Shares one file's rows out over the splits that were not uploaded.

    A plain threshold on the rank leaves small datasets without validation or test rows now and then, and
    Azure ML slices the training file when a split is missing. So the first rows are held back: each split
    gets its share of those, and one row at least; later rows follow the threshold, and later duplicates of
    the held rows follow these.
    """

    def __init__(
        self, rules: GateRules, missing: Mapping[Split, int], write: Callable[[Split, Row], None]
    ) -> None:
        """Set up for one training file.

        Args:
            rules: For the seed.
            missing: The splits to be taken from training and their shares in percent.
            write: Takes each row with its split.
        """
        self._key = seed_key(rules.seed)
        self._missing = dict(missing)
        self._write = write
        self._bounds: list[tuple[int, Split]] = []
        bound = 0
        for split, percent in self._missing.items():
            bound += percent * _RANKS // 100
            self._bounds.append((bound, split))
        self._held: list[Row] | None = [] if missing else None
        self._held_bytes = 0
        self._placed: dict[int, Split] = {}  # held rows whose share differs from what the threshold says

    def add(self, row: Row) -> None:
        """Take a row; it is written now or later."""
        if self._held is None:
            self._write(self._split_of(row.digest), row)
            return
        self._held.append(row)
        self._held_bytes += len(row.encoded)
        if len(self._held) >= _HELD_ROWS or self._held_bytes >= _HELD_BYTES:
            self.finish()

    def finish(self) -> None:
        """Write the rows that are still held back."""
        held, self._held = self._held, None
        if not held:
            return
        by_rank = sorted({row.digest for row in held}, key=lambda digest: (rank(digest, self._key), digest))
        start = 0
        shares: dict[int, Split] = {}
        for split, percent in self._missing.items():
            share = max(1, len(by_rank) * percent // 100)
            end = min(start + share, len(by_rank) - 1)  # one row at least is for training
            shares.update((digest, split) for digest in by_rank[start:end])
            start = end
        for digest in by_rank:
            split = shares.get(digest, Split.TRAIN)
            if split is not self._split_of(digest):
                self._placed[digest] = split
        for row in held:
            self._write(self._split_of(row.digest), row)

    def _split_of(self, digest: int) -> Split:
        if digest in self._placed:
            return self._placed[digest]
        place = rank(digest, self._key)
        for bound, split in self._bounds:
            if place < bound:
                return split
        return Split.TRAIN
