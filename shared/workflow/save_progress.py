"""Write records that two kinds of writers share: the worker that advances a run, and callers.

A worker keeps what callers wrote while it worked, or yields to them so that it can decide again. A worker
that another one has overtaken writes nothing. Every write is conditional on the version that was read.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.domain.errors import RunChangedError
from shared.domain.run.run import Run, merge_callers_fields, same_progress
from shared.ports import RunStore, StoredRun

ATTEMPTS = 20
"""Times that a writer re-reads a record that changed under it before it gives up."""


def save_progress(runs: RunStore, read: StoredRun, run: Run, *, yield_to_callers: bool) -> StoredRun:
    """Write what a worker made of the record that it had read.

    Args:
        runs: Where the record is.
        read: The record that the worker started from.
        run: What the worker made of it.
        yield_to_callers: If callers wrote meanwhile: leave the record as it is and return it, instead of
            writing the worker's progress together with the callers' fields.

    Raises:
        UnknownRunError: If the record is gone.
        RunChangedError: If another worker has advanced the run, or the record kept changing.
    """
    etag = read.etag
    for _ in range(ATTEMPTS):
        written = runs.replace(run, etag)
        if written is not None:
            return StoredRun(run, written)
        # Another writer was faster: a caller, or a worker that took over when this one's lease ran out.
        current = runs.load(run.run_id)
        if not same_progress(current.run, read.run):
            raise RunChangedError(f"{run.run_id} was advanced by another worker")
        merged = merge_callers_fields(run, current.run)
        if yield_to_callers and merged != run:
            return current
        run, etag = merged, current.etag
    raise RunChangedError(f"the record of {run.run_id} changed {ATTEMPTS} times while it was being saved")


def update_run(runs: RunStore, run_id: str, change: Callable[[Run], Run]) -> Run:
    """Apply a caller's change to the newest version of a record.

    Args:
        runs: Where the record is.
        run_id: The run.
        change: Touches callers' fields only; returns the run as it is to write nothing; may raise to refuse.

    Raises:
        UnknownRunError: If there is no such run.
        CorruptRunError: If its record cannot be read.
        RunChangedError: If the record kept changing.
    """
    for _ in range(ATTEMPTS):
        read = runs.load(run_id)
        changed = change(read.run)
        if changed == read.run or runs.replace(changed, read.etag) is not None:
            return changed
    raise RunChangedError(f"the record of {run_id} changed {ATTEMPTS} times while it was being updated")
