"""Run records, their index, and what keeps two workers from one run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from shared.domain.run.index import IndexEntry
from shared.domain.run.run import Run


class StoredRun(NamedTuple):
    """A record, the ETag under which it was read, and why it is suspended, or None."""

    run: Run
    etag: str
    suspended: str | None = None


class RunPage(NamedTuple):
    """Some index entries and where the next ones begin, or None at the end."""

    entries: tuple[IndexEntry, ...]
    next: str | None


class RunStore(Protocol):
    """Run records: one blob each, every write conditional."""

    def create(self, run: Run) -> bool:
        """Store a new record; False if one of that name is there already."""

    def load(self, run_id: str) -> StoredRun:
        """Read a record. Raises UnknownRunError, CorruptRunError."""

    def replace(self, run: Run, etag: str) -> str | None:
        """Write over the version `etag`; the new ETag, or None if that version is no longer there."""

    def entries(self, *, max_age: timedelta = timedelta()) -> Sequence[IndexEntry]:
        """Every run, from one listing of 250 a page, without reading a record.

        With `max_age`, one that this process began so long ago at most will do.
        """

    def page(self, *, limit: int, cursor: str | None) -> RunPage:
        """A page of the index in order of run id. Raises RequestError for a cursor that is not ours."""

    def suspend(self, run_id: str, reason: str, *, until: datetime) -> None:
        """Have the timer leave a run alone until then, or until its record is written; also a corrupt one.

        A run that a newer version of the app wrote is left as it is.
        """

    def resume(self, run_id: str) -> bool:
        """Undo `suspend`; False if the run was not suspended. Raises UnknownRunError."""


class RunLock(Protocol):
    """One worker at a time advances a run."""

    def acquire(self, run_id: str) -> AbstractContextManager[None]:
        """Lock the run while the context lasts. Raises RunBusyError if another worker has it locked."""

    def was_locked(self, run_id: str) -> bool:
        """Whether a run of that name was ever locked: proof that it was this app's, without its record."""
