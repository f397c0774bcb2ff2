"""The table of what was tried and what came of it.

*Ended wrongly* counts runs that came to another end than they should have; *made twice* jobs, model versions,
endpoints and deployments beyond the first of a run; *left billing* jobs and endpoints that outlive it.
"""

from __future__ import annotations

from chaos.harness import Verdict

HEADINGS = (
    "fault",
    "times injected",
    "runs",
    "ended as expected",
    "ended wrongly",
    "made twice",
    "left billing",
    "lost runs",
)
RUNS, EXPECTED = 1, 2

LONGEST_SECONDS = 30.0
"""Of one invocation: a transient fault is waited out on the run's record, not slept through."""


class Table:
    """One row a fault, in the order in which they are expected, and their sum."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._rows: dict[str, list[int]] = {}
        self.notes: list[str] = []
        self.idle: list[str] = []
        self.longest = 0.0

    def expect(self, fault: str) -> list[int]:
        """The row of a fault, begun if there is none."""
        return self._rows.setdefault(fault, [0] * (len(HEADINGS) - 1))

    def add(self, fault: str, verdict: Verdict) -> None:
        """Count one more case."""
        row = self.expect(fault)
        for column, value in enumerate(_numbers(verdict)):
            row[column] += value
        if verdict.note:
            self.notes.append(f"{fault}: {verdict.note}")
        if not verdict.injected:
            self.idle.append(fault)
        self.longest = max(self.longest, verdict.longest)

    @property
    def total(self) -> list[int]:
        """The sum of all rows."""
        return [sum(column) for column in zip(*self._rows.values(), strict=True)] or [0] * (len(HEADINGS) - 1)

    @property
    def clean(self) -> bool:
        """Whether every run ended as it should have, once, and everything planned did happen."""
        total = self.total
        counted = total[RUNS] == total[EXPECTED] > 0 and not any(total[EXPECTED + 1 :])
        return counted and not self.idle and self.longest < LONGEST_SECONDS

    def render(self) -> str:
        """The table as text."""
        body = [(name, *map(str, row)) for name, row in self._rows.items()]
        body.append(("all", *map(str, self.total)))
        widths = [max(len(row[column]) for row in (HEADINGS, *body)) for column in range(len(HEADINGS))]

        def line(row: tuple[str, ...]) -> str:
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            return " | ".join(cells)

        rule = "-+-".join("-" * width for width in widths)
        return "\n".join([line(HEADINGS), rule, *map(line, body[:-1]), rule, line(body[-1])])


def _numbers(verdict: Verdict) -> tuple[int, ...]:
    return (
        verdict.injected,
        verdict.runs,
        verdict.expected,
        verdict.runs - verdict.expected - verdict.lost,
        verdict.duplicates,
        verdict.leaked,
        verdict.lost,
    )
