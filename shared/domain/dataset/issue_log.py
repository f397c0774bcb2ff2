"""Counts every issue and keeps the first few of each code."""

import re
from collections import Counter
from typing import NamedTuple

from .codes import Code
from .report import Issue
from .sensitive import SensitiveKind, mask_sensitive

_EXCERPT_CHARACTERS = 200
_LOOKED_AT = 4_096  # bytes of a line that an excerpt is made of, so that what is masked is whole
_ESCAPE = re.compile(r"\\u00([2-7][0-9a-fA-F])")


class LogState(NamedTuple):
    """What was found so far, to be written down."""

    counts: dict[Code, int]
    issues: list[Issue]


class IssueLog:
    """What was found so far."""

    def __init__(self, listed_per_code: int, masked: tuple[SensitiveKind, ...] = ()) -> None:
        """Set up.

        Args:
            listed_per_code: Issues of one code that are listed.
            masked: What no message and no excerpt may show.
        """
        self._masked = masked
        self._limits = {code: 1 if code.is_refused_kind else listed_per_code for code in Code}
        self._counts: Counter[Code] = Counter()
        self._issues: list[Issue] = []

    def add(
        self, code: Code, message: str, *, file: str | None = None, line: int | None = None, text: bytes = b""
    ) -> None:
        """Count an issue, and list it while its code has fewer than the limit."""
        self._counts[code] += 1
        if self._counts[code] <= self._limits[code]:
            excerpt = self._excerpt(text) if text else None
            message = mask_sensitive(message, self._masked)
            self._issues.append(Issue(code=code, message=message, file=file, line=line, excerpt=excerpt))

    def _excerpt(self, text: bytes) -> str:
        beginning = text[:_LOOKED_AT].decode(errors="replace")
        if self._masked:
            plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), beginning)
            beginning = mask_sensitive(plain, self._masked)
        return beginning[:_EXCERPT_CHARACTERS]

    def count(self, code: Code, times: int = 1) -> bool:
        """Count without listing, which is all that is left to do once a code's list is full.

        Returns:
            Whether the code's list was full; if not, nothing was counted.
        """
        if self._counts[code] < self._limits[code]:
            return False
        self._counts[code] += times
        return True

    @property
    def full(self) -> list[Code]:
        """The codes of which no more issues are listed."""
        return [code for code, count in self._counts.items() if count >= self._limits[code]]

    @property
    def issues(self) -> list[Issue]:
        """The listed issues, in the order of their codes and then of their finding."""
        return sorted(self._issues, key=lambda issue: issue.code)

    @property
    def counts(self) -> dict[str, int]:
        """How often each code occurred."""
        return {code.value: self._counts[code] for code in sorted(self._counts) if self._counts[code]}

    @property
    def found(self) -> list[Issue]:
        """The listed issues in the order of their finding."""
        return self._issues

    @property
    def state(self) -> LogState:
        """What `restore` takes."""
        return LogState(dict(self._counts), list(self._issues))

    def restore(self, state: LogState) -> None:
        """Go on with what was found before."""
        self._counts = Counter(state.counts)
        self._issues = list(state.issues)
