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
    due = [entry for entry in entries if entry.is_due(now)]
    # Who has been due for longest goes first: a validation that is to go on later is behind all that wait.
    return [entry.run_id for entry in sorted(due, key=lambda entry: (entry.due or now, entry.run_id))]
