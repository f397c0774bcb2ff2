"""Find the runs that are due."""

from __future__ import annotations

from shared.ports import Services


def schedule_advances(services: Services) -> list[str]:
    """Name every run that should be looked at now: one listing, no records read.

    This is also what finds a run whose message was lost.
    """
    now = services.now()
    return [entry.run_id for entry in services.runs.entries() if entry.is_due(now)]
