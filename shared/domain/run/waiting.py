"""What a run waits for, in words for people."""

from __future__ import annotations

from shared.domain.run.job_status import QUEUED
from shared.domain.run.run import Run
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage

LONGEST = 200
"""Characters of a service's words that are repeated here; the record has them whole."""

_ASKS_FOR_SLOT = {SlotKind.TRAINING: Stage.VALIDATED, SlotKind.ENDPOINT: Stage.REGISTERED}


def waiting_for(run: Run) -> str | None:
    """Say what keeps a run from going on that it cannot hurry; None if it is at work, or at rest.

    An upload that is still changing, a slot (`training slot, 4 of 4 in use, position 3`), a cluster, quota,
    capacity, nodes for its job, or a service that it is to try again.
    """
    if run.at_rest:
        return None
    upload = _for_upload(run)
    return upload or _for_hours(run) or _for_slot(run) or _for_service(run) or _for_nodes(run)


def _for_upload(run: Run) -> str | None:
    if run.settles_at is None or run.stage not in {Stage.RECEIVED, Stage.VALIDATED} or run.billable:
        return None
    return "settle: the upload changed, and is read anew once it is left alone"


def _for_hours(run: Run) -> str | None:
    unasked = run.slot is None or run.slot.kind is not SlotKind.ENDPOINT
    resting = run.stage is Stage.STOPPED or (run.stage is Stage.REGISTERED and unasked)
    return f"its hours, {run.options.available}" if resting and run.options.available else None


def _for_slot(run: Run) -> str | None:
    slot = run.slot
    if slot is None or slot.acquired or run.stage is not _ASKS_FOR_SLOT[slot.kind]:
        return None
    use = f", {slot.in_use} of {slot.limit} in use" if slot.limit else ""
    return f"{slot.kind} slot{use}" + (f", position {slot.position}" if slot.position else "")


def _for_service(run: Run) -> str | None:
    fault = run.last_fault
    again = run.failures or (run.rebuilds and run.attention)
    if fault is None or not (again or run.attention):
        return None
    words = f"{fault.message[:LONGEST]}"
    if "quota" in f"{fault.code} {fault.message}".lower():
        return f"quota: {words}"
    if "capacity" in f"{fault.code} {fault.message}".lower():
        return f"capacity: {words}"
    return f"{fault.code}: {words}"


def _for_nodes(run: Run) -> str | None:
    if run.stage is Stage.VALIDATED and run.compute_requested_at is not None and not run.billable:
        return f"cluster {run.options.compute}"
    if run.stage is Stage.TRAINING and run.job is not None and run.job.status in QUEUED:
        return f"nodes for the training job, which is {run.job.status}"
    return None
