"""How many datasets one process validates at once, and which of those that wait is next.

A validation computes for as long as the file is large, and holds the worker of a queue message meanwhile.
Without turns, a dozen large uploads would keep every other run, and the end of every lifetime, waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from shared.domain.run.slots import fair_share_name

AT_ONCE = 4
"""Validations of one process; all but one may be of one name (`fair_share_name`)."""

WAITS_SECONDS = 60.0
"""How long a run that was refused is taken to wait for its turn. It asks again every few seconds."""

TURN_SECONDS = 60.0
"""How long a validation goes on while others wait; it then continues at its checkpoint, behind those."""


FORGOTTEN_SECONDS = 3600.0
"""How long it is known that a run has had a turn."""


class _Refused(NamedTuple):
    at: float
    had_turn: bool


class ValidationTurns:
    """The validations at work in this process, and the runs that were refused a turn lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none; `clock` is in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._at_work: dict[str, str] = {}
        self._refused: dict[str, _Refused] = {}
        self._unfinished: dict[str, float] = {}

    def begin(self, run_id: str, dataset: str) -> bool:
        """Whether a run of that dataset may validate now; if so, `end` must follow.

        Runs that have had no turn yet come first.
        """
        name = fair_share_name(dataset)
        with self._lock:
            begun, others = run_id in self._unfinished, self._waiting(run_id)
            mine = sum(one == name for one in self._at_work.values())
            behind = begun and any(not other.had_turn for other in others)
            if behind or mine >= AT_ONCE - 1 or len(self._at_work) >= AT_ONCE:
                self._refused[run_id] = _Refused(self._clock(), begun)
                return False
            self._refused.pop(run_id, None)
            self._at_work[run_id] = name
            return True

    def end(self, run_id: str, *, finished: bool) -> None:
        """Give the turn back; a run that is not finished has had one."""
        with self._lock:
            self._at_work.pop(run_id, None)
            if finished:
                self._unfinished.pop(run_id, None)
            else:
                self._unfinished[run_id] = self._clock()

    def others_wait(self, run_id: str) -> bool:
        """Whether another run waits for a turn."""
        with self._lock:
            return bool(self._waiting(run_id))

    def _waiting(self, run_id: str) -> list[_Refused]:
        now = self._clock()
        self._unfinished = {run: at for run, at in self._unfinished.items() if now - at < FORGOTTEN_SECONDS}
        self._refused = {run: one for run, one in self._refused.items() if now - one.at < WAITS_SECONDS}
        return [refused for other, refused in self._refused.items() if other != run_id]


TURNS = ValidationTurns()
"""Those of this process."""
