"""Find the runs that are due."""

from __future__ import annotations

from collections import Counter

from shared.ports import Services


def schedule_due_runs(services: Services) -> list[str]:
    """Name every run that should be looked at now: one listing, no records read.

    This is also what finds a run whose message was lost.
    """
    now = services.now()
    entries = list(services.runs.entries())
    services.telemetry.counted(Counter(entry.stage or "unreadable" for entry in entries))
    return [entry.run_id for entry in entries if entry.is_due(now)]
