"""Time: an injected clock, and how long each thing takes.

Nothing here sleeps. Every state is a function of when a thing began and what the clock says now, so a test
that moves the clock by an hour sees an hour's progress.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time; always in UTC."""

    def now(self) -> datetime:
        """The present moment."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The present moment."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Moves the clock forward."""
        with self._lock:
            self._now += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things take, in seconds.

    Attributes:
        job_queue: From a job's submission until its first node starts.
        job_nodes: Duration of each node of the fine-tuning pipeline, in its order; the last one repeats.
        trained_token: That training takes longer for each token it goes through.
        token: Between two tokens that a served model generates.
        poll_milliseconds: Wait that pollers are asked for; None sends no such header, as the service does.
    """

    name: str
    compute: float
    endpoint: float
    endpoint_delete: float
    deployment: float
    deployment_delete: float
    cancel: float
    job_queue: float
    job_nodes: tuple[float, ...]
    trained_token: float = 0
    token: float
    poll_milliseconds: int | None

    def node(self, index: int) -> float:
        """Seconds that the node at this position of a pipeline takes."""
        return self.job_nodes[min(index, len(self.job_nodes) - 1)]


INSTANT = Pace(
    name="instant",
    compute=0,
    endpoint=0,
    endpoint_delete=0,
    deployment=0,
    deployment_delete=0,
    cancel=0,
    job_queue=0,
    job_nodes=(0,),
    token=0,
    poll_milliseconds=20,
)
FAST = Pace(
    name="fast",
    compute=0.5,
    endpoint=0.5,
    endpoint_delete=0.5,
    deployment=1.0,
    deployment_delete=0.3,
    cancel=0.3,
    job_queue=0.5,
    job_nodes=(0.3, 0.5, 0.7, 1.5, 0.5),
    token=0.002,
    poll_milliseconds=200,
)
# Endpoint, deployment and delete as recorded (1, 7 and 1.2 minutes); the job's are typical, not recorded.
TIMED = Pace(
    name="timed",
    compute=20,
    endpoint=60,
    endpoint_delete=71,
    deployment=420,
    deployment_delete=60,
    cancel=30,
    job_queue=180,
    job_nodes=(60, 240, 300, 1200, 240),
    trained_token=0.002,
    token=0.02,
    poll_milliseconds=None,
)
PACES = {pace.name: pace for pace in (INSTANT, FAST, TIMED)}


def wire_time(moment: datetime) -> str:
    """The service's own way to write a time: seven decimals and a numeric offset."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00"
