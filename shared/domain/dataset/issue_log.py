"""Counts every issue and keeps the first few of each code."""

from collections import Counter

from .codes import Code
from .report import Issue

_EXCERPT_BYTES = 200


class IssueLog:
    """What was found so far."""

    def __init__(self, listed_per_code: int) -> None:
        self._listed_per_code = listed_per_code
        self._counts: Counter[Code] = Counter()
        self._issues: list[Issue] = []

    def add(
        self, code: Code, message: str, *, file: str | None = None, line: int | None = None, text: bytes = b""
    ) -> None:
        """Count an issue, and list it while its code has fewer than the limit."""
        self._counts[code] += 1
        if self._counts[code] <= self._listed_per_code:
            excerpt = text[:_EXCERPT_BYTES].decode(errors="replace") if text else None
            self._issues.append(Issue(code=code, message=message, file=file, line=line, excerpt=excerpt))

    def count(self, code: Code, times: int = 1) -> bool:
        """Count without listing, which is all that is left to do once a code's list is full.

        Returns:
            Whether the code's list was full; if not, nothing was counted.
        """
        if self._counts[code] < self._listed_per_code:
            return False
        self._counts[code] += times
        return True

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
