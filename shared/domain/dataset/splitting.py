"""Which split a conversation goes to: by its content and the seed alone, so that equal ones stay together."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .rules import Split, ValidationRules

# Rows that are held back before the first is assigned, so that small datasets get exact shares.
_HELD_ROWS = 1_000
_HELD_BYTES = 4 << 20

_RANKS = 1 << 32
_MIX = 0x9E3779B97F4A7C15  # 2^64 / the golden ratio: Fibonacci hashing
_WORD = (1 << 64) - 1

# Takes the digest and the encoded messages of a row, and whether the trainer is sure to keep it.
Write = Callable[[int, bytes, bool], None]


class SplitterState(NamedTuple):
    """The rows that are held back and the splits that were assigned, to be written down."""

    held: list[tuple[int, bytes, bool]] | None
    assigned: dict[int, Split]


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
        self, rules: ValidationRules, missing: Mapping[Split, int], write: Mapping[Split, Write]
    ) -> None:
        """Set up for one training file.

        Args:
            rules: For the seed.
            missing: The splits to be taken from training and their shares in percent.
            write: Takes the rows of each split.
        """
        self._key = seed_key(rules.seed)
        self._missing = dict(missing)
        self._write = write
        self._write_train = write[Split.TRAIN]
        self._bounds: list[tuple[int, Split]] = []
        bound = 0
        for split, percent in self._missing.items():
            bound += percent * _RANKS // 100
            self._bounds.append((bound, split))
        self._highest_bound = bound
        self._held: list[tuple[int, bytes, bool]] | None = [] if missing else None
        self._held_bytes = 0
        self._assigned: dict[int, Split] = {}  # held rows whose share differs from what the threshold says

    def add(self, digest: int, encoded: bytes, safe: bool) -> None:
        """Take a row, as the digest of its content and its messages; it is written now or later."""
        if self._held is None:
            # What `_split_of` says of most rows, without the call.
            if ((digest ^ self._key) * _MIX & _WORD) >> 32 >= self._highest_bound and (
                digest not in self._assigned
            ):
                self._write_train(digest, encoded, safe)
            else:
                self._write[self._split_of(digest)](digest, encoded, safe)
            return
        self._held.append((digest, encoded, safe))
        self._held_bytes += len(encoded)
        if len(self._held) >= _HELD_ROWS or self._held_bytes >= _HELD_BYTES:
            self.finish()

    def finish(self) -> None:
        """Write the rows that are still held back."""
        held, self._held = self._held, None
        if not held:
            return
        by_rank = sorted(
            {digest for digest, _, _ in held}, key=lambda digest: (rank(digest, self._key), digest)
        )
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
                self._assigned[digest] = split
        for digest, encoded, safe in held:
            self._write[self._split_of(digest)](digest, encoded, safe)

    @property
    def state(self) -> SplitterState:
        """What `restore` takes."""
        return SplitterState(self._held, self._assigned)

    def restore(self, state: SplitterState) -> None:
        """Go on with a file that was begun."""
        self._held, self._assigned = state.held, state.assigned
        self._held_bytes = sum(len(encoded) for _, encoded, _ in self._held or ())

    def _split_of(self, digest: int) -> Split:
        if digest in self._assigned:
            return self._assigned[digest]
        row_rank = ((digest ^ self._key) * _MIX & _WORD) >> 32  # as `rank` says; written out for speed
        if row_rank < self._highest_bound:
            for bound, split in self._bounds:
                if row_rank < bound:
                    return split
        return Split.TRAIN
