"""What leaves the app: messages, notifications, telemetry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import NamedTuple, Protocol

from shared.domain.run.notifications import IgnoredNotification, Notification
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage


class Notifications(Protocol):
    """The queue of what is to be delivered to the webhook."""

    def enqueue(self, notification: Notification | IgnoredNotification, *, delay: timedelta) -> None:
        """Queue a notification that becomes visible after `delay`."""


class AdvanceQueue(Protocol):
    """The queues of runs to advance."""

    def enqueue(self, message: str, *, delay: timedelta, ahead: bool = False) -> None:
        """Queue a message that becomes visible after `delay`; with `ahead`, no routine look is before it."""


class Webhook(Protocol):
    """The receiver of notifications."""

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send once. Raises TransientServiceError, or ServiceRefusedError if retrying cannot help."""


class BegunTrace(NamedTuple):
    """The trace of a run that is being opened.

    Attributes:
        trace: What its record keeps.
        keep: To be called once the record is there: another delivery of the event may have opened the run.
    """

    trace: str | None
    keep: Callable[[], None]


class Telemetry(Protocol):
    """What operators see of runs. Never training text, prompts, keys or tokens."""

    def begin(self, run_id: str) -> BegunTrace:
        """Begin the trace of a run, which is to be kept on its record."""

    def span(self, name: str, run: Run) -> AbstractContextManager[None]:
        """A piece of work on a run, in the run's own trace."""

    def entered(self, stage: Stage, left: Stage, seconds: float) -> None:
        """A run entered a stage after so long in the one before."""

    def met_fault(self, stage: Stage, code: str, *, retried: bool) -> None:
        """A run met a fault."""

    def checked(self, *, rows: int, size: int, seconds: float) -> None:
        """Dataset validation read so many rows and uploaded bytes in so many seconds."""

    def counted(self, runs: Mapping[str, int]) -> None:
        """There are so many runs in each stage."""
