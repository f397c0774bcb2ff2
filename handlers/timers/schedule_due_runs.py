"""Find the runs that are due."""

from __future__ import annotations

from collections import Counter

from shared.domain.run.scheduling import runs_to_advance
from shared.ports import Services


def schedule_due_runs(services: Services) -> list[str]:
    """Name the runs that should be looked at now, the urgent ones first: one listing, no records read.

    This is also what finds a run whose message was lost, and what wakes runs that wait for a slot.
    """
    entries = services.runs.entries()
    services.telemetry.counted(Counter(entry.stage or "unreadable" for entry in entries))
    return runs_to_advance(entries, services.now())
