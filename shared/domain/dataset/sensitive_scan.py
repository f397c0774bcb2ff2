"""Looks for sensitive data in the bytes of many rows at once: Hyperscan finds all patterns in one pass.

What it finds are hints; `sensitive` says what is in the texts of a row that has any.
"""

from collections.abc import Sequence
from functools import cache

import hyperscan

from .sensitive import COARSE_HINTS, KINDS, SensitiveKind

_FLAGS = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL
# A character that JSON need not escape: what it spells is seen once the row is read.
_ESCAPED = r"\\u00"


class SensitiveScanner:
    """Scans for the classes that are asked for; one for each validation, since it has memory of its own."""

    def __init__(self, *, secrets: bool, contacts: bool) -> None:
        """Set up.

        Args:
            secrets: Whether to look for secrets, cards and accounts.
            contacts: Whether to look for e-mail addresses and phone numbers.
        """
        self.kinds = tuple(kind for kind in KINDS if (contacts if kind.is_contact else secrets))
        coarse = COARSE_HINTS if secrets else ()
        self._coarse = _compile((*coarse, *(kind.hint for kind in self.kinds if kind.is_contact), _ESCAPED))
        self._fine = _compile(tuple(kind.hint for kind in self.kinds))
        self._coarse_memory = hyperscan.Scratch(self._coarse)
        self._fine_memory = hyperscan.Scratch(self._fine)

    def suspects(self, lines: Sequence[bytes]) -> set[int]:
        """Which lines deserve a closer look, by their positions; no other spells ASCII as an escape."""
        if not self._is_suspect(b"".join(lines)):
            return set()
        return {place for place, line in enumerate(lines) if self._is_suspect(line)}

    def kinds_in(self, encoded: bytes) -> tuple[SensitiveKind, ...]:
        """The kinds that encoded messages have hints of."""
        found: set[int] = set()
        self._fine.scan(
            encoded, match_event_handler=lambda kind, *_: found.add(kind), scratch=self._fine_memory
        )
        return tuple(self.kinds[kind] for kind in sorted(found))

    def _is_suspect(self, data: bytes) -> bool:
        try:
            self._coarse.scan(data, match_event_handler=_stop, scratch=self._coarse_memory)
        except hyperscan.ScanTerminated:
            return True
        return False


def _stop(*_: object) -> bool:
    return True


@cache
def _compile(patterns: tuple[str, ...]) -> hyperscan.Database:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    expressions = [pattern.encode() for pattern in patterns]
    numbers = list(range(len(patterns)))
    database.compile(
        expressions=expressions, ids=numbers, elements=len(patterns), flags=[_FLAGS] * len(patterns)
    )
    return database
