"""The index of runs: the few facts that each record's blob repeats in its metadata.

One listing of the container is the whole index, strongly consistent with the records because it is
written with them (`index_metadata`). Budget guards and the timer read nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from shared.domain.run.cost import NO_USE, Use
from shared.domain.run.names import numbered_name
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage

ALERT_SECONDS = 3600
"""A teardown that has lasted this long needs a person, and so does a run that was due that long ago."""

MANY_FAILURES = 3
"""Transient faults in a row after which others need not wait for a run's turn."""

UNNOTED_END = timedelta(days=1)
"""For how long a run that failed or was rejected asks for attention, unless somebody acknowledges it."""

BEFORE_USE = {
    SlotKind.TRAINING: frozenset({Stage.RECEIVED, Stage.VALIDATED}),
    SlotKind.ENDPOINT: frozenset({Stage.TRAINED, Stage.REGISTERED}),
}
"""Stages of runs that have yet to use a slot of that kind."""


class IndexEntry(NamedTuple):
    """One run as the index shows it.

    Attributes:
        stage: None when the metadata cannot be read: such a run needs a person.
        due: When the timer should advance it, or None.
        opened: When it was opened, or None when unreadable.
        entered: When it entered its stage.
        expires: When its endpoint's time is up, or None.
        billable: See `Run.billable`.
        suspended: Why the timer leaves the run alone, or None.
        suspended_until: When the timer tries a suspended run again; None leaves that to people.
        job_open: A job was asked for and not seen to be over, so that it may still appear.
        training: See `Run.may_be_training`.
        failing: Many faults in a row kept it from going on.
        waits_for: The kind of slot that it asked for and was refused, or None.
        instances: VMs of its endpoint, there or to come.
        slot_acquired: When it acquired its newest slot, or None.
        attention: See `Run.attention`.
        waiting: See `waiting_for`.
        again: The run was stopped before, and is on its way to being live again.
        workspace: See `Run.workspace_id`.
        content: See `content_key`, of its training file.
        parts: See `parts_key`.
        job_number, endpoint_number: See `Run`.
        newer: A newer version of the app wrote it: this one leaves the run and what it has alone.
        asked: A caller asked for the run to end, and it has not ended yet.
        base_model: Its base model, with the version once that is known.
        note: See `Run.end_note`.
        acknowledged: See `Run.acknowledged`.
        training_use, endpoint_use: What it uses of what costs money (`shared.domain.run.cost`).
        eval_loss: See `Metrics`.
        chrf: What its evaluation before traffic measured, of 100.
        cost: Money that it used and is committed to, by month: see `committed`.
    """

    run_id: str
    dataset: str
    stage: Stage | None
    due: datetime | None
    opened: datetime | None
    entered: datetime | None
    expires: datetime | None
    billable: bool
    suspended: str | None
    suspended_until: datetime | None = None
    job_open: bool = False
    training: bool = False
    failing: bool = False
    waits_for: SlotKind | None = None
    instances: int = 1
    slot_acquired: datetime | None = None
    attention: str | None = None
    waiting: str | None = None
    again: bool = False
    workspace: str | None = None
    content: str | None = None
    parts: str | None = None
    job_number: int = 1
    endpoint_number: int = 1
    newer: bool = False
    asked: bool = False
    base_model: str | None = None
    note: str | None = None
    acknowledged: bool = False
    training_use: Use = NO_USE
    endpoint_use: Use = NO_USE
    eval_loss: float | None = None
    chrf: float | None = None
    cost: Mapping[str, float] = MappingProxyType({})

    @property
    def job_name(self) -> str:
        """See `Run.job_name`."""
        return numbered_name(self.run_id, self.job_number)

    @property
    def endpoint_name(self) -> str:
        """See `Run.endpoint_name`."""
        return numbered_name(self.run_id, self.endpoint_number)

    @property
    def waits(self) -> bool:
        """Whether the run waits for a slot, and others have to wait for its turn."""
        return (
            self.waits_for is not None
            and self.stage in BEFORE_USE[self.waits_for]
            and self.suspended is None
            and not self.failing
            and self.opened is not None
        )

    def is_due(self, now: datetime) -> bool:
        """Whether the timer should have the run advanced."""
        if self.newer:
            return False
        due = self.due if self.suspended is None else self.suspended_until
        return due is not None and due <= now

    def needs_attention(self, now: datetime) -> bool:
        """Whether a person should look: the run is stuck, or it came to a bad end lately."""
        return self.is_stuck(now) or self._ended_badly(now)

    def _ended_badly(self, now: datetime) -> bool:
        if self.stage not in {Stage.FAILED, Stage.REJECTED} or self.acknowledged:
            return False
        return _ago(self.entered, now) < UNNOTED_END.total_seconds()

    def is_stuck(self, now: datetime) -> bool:
        """Whether somebody has to do something: suspended, unreadable, refused, an endless teardown, overdue.

        Nobody manages to advance a run that is long overdue: its record or its lease cannot be written.
        """
        if self.suspended is not None or self.attention is not None or self.stage is None or self.newer:
            return True
        if self.waits and not self.asked:
            # It is looked at in turn, however long that takes.
            return False
        teardown = self.stage is Stage.DELETING and _ago(self.entered, now) > ALERT_SECONDS
        return teardown or (not self.stage.terminal and _ago(self.due, now) > ALERT_SECONDS)


def _ago(moment: datetime | None, now: datetime) -> float:
    return (now - moment).total_seconds() if moment is not None else 0.0
