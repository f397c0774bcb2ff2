"""Messages of the queue `advance`: a run's id, and of a message that was sent for later, when it was due."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from shared.domain.run.names import is_run_id


class AdvanceMessage(NamedTuple):
    """A run to advance.

    Attributes:
        due: Set on a message that a run queued for itself: it is stale once the run is due at another time,
            so that a run never has more than one of them that counts.
    """

    run_id: str
    due: datetime | None = None

    def __str__(self) -> str:
        """As it is queued."""
        return self.run_id if self.due is None else f"{self.run_id} {self.due.isoformat()}"


def read_message(text: str) -> AdvanceMessage | None:
    """Read a message; None if it names no run."""
    run_id, _, due = text.partition(" ")
    if not is_run_id(run_id):
        return None
    try:
        return AdvanceMessage(run_id, datetime.fromisoformat(due) if due else None)
    except ValueError:
        return None
