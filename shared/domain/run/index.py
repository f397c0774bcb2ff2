"""The index of runs: the few facts that each record's blob repeats in its metadata.

One listing of the container is the whole index, strongly consistent with the records because it is
written with them. Budget guards and the timer read nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote

from shared.domain.run.budget import committed
from shared.domain.run.names import numbered_name
from shared.domain.run.run import SCHEMA_VERSION, Run
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage
from shared.domain.run.upload_change import content_key, parts_key
from shared.domain.run.waiting import waiting_for
from shared.domain.sanitize import is_supported_timestamp

ALERT_SECONDS = 3600
"""A teardown that has lasted this long needs a person, and so does a run that was due that long ago."""

MANY_FAILURES = 3
"""Transient faults in a row after which others need not wait for a run's turn."""

ATTENTION_LIMIT = 400
"""Characters of the reason for attention that the index keeps; the record has it whole."""

WAITING_LIMIT = 100
"""The same of what a run waits for."""

BEFORE_USE = {
    SlotKind.TRAINING: frozenset({Stage.RECEIVED, Stage.VALIDATED}),
    SlotKind.ENDPOINT: frozenset({Stage.TRAINED, Stage.REGISTERED}),
}
"""Stages of runs that have yet to use a slot of that kind."""

_STAGES = {stage.value: stage for stage in Stage}
_KINDS = {kind.value: kind for kind in SlotKind}


NOTHING: Mapping[str, float] = MappingProxyType({})


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
        cost: See `committed`.
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
    cost: Mapping[str, float] = NOTHING

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
        """Whether a person should look: suspended, unreadable, refused, an endless teardown, or left behind.

        Nobody manages to advance a run that is long overdue: its record or its lease cannot be written.
        """
        if self.suspended is not None or self.attention is not None or self.stage is None or self.newer:
            return True
        if self.waits and not self.asked:
            # It is looked at in turn, however long that takes.
            return False
        teardown = self.stage is Stage.DELETING and _ago(self.entered, now) > ALERT_SECONDS
        return teardown or (not self.stage.terminal and _ago(self.due, now) > ALERT_SECONDS)


def to_metadata(run: Run) -> dict[str, str]:
    """Render a run's index entry as blob metadata (ASCII values, C-identifier names)."""
    attention = run.attention or run.late_notice or _stopped_by(run)
    facts = {
        "stage": run.stage.value,
        "dataset": quote(run.dataset, safe=""),
        "due": _render(run.due),
        "opened": _render(run.opened_at),
        "entered": _render(run.history[-1].at),
        "expires": _render(run.expires_at) if not run.stage.at_rest else "",
        "billable": "1" if run.billable else "",
        "job_open": "1" if run.billable and not run.job_is_over else "",
        "training": "1" if run.may_be_training else "",
        "failing": "1" if run.failures >= MANY_FAILURES else "",
        "waits_for": run.slot.kind.value if run.slot is not None and not run.slot.acquired else "",
        "slot_acquired": _render(run.slot.at) if run.slot is not None and run.slot.acquired else "",
        "instances": str(run.options.instance_count) if run.options.instance_count > 1 else "",
        "attention": quote(attention[:ATTENTION_LIMIT], safe=" "),
        "waiting": quote((waiting_for(run) or "")[:WAITING_LIMIT], safe=" ,"),
        "again": "1" if run.starts_again else "",
        "workspace": run.workspace_id or "",
        "content": content_key(run.source.files[0]),
        "parts": parts_key(run.source.parts),
        "schema": str(run.schema_version),
        "cost": " ".join(f"{month}={amount:.2f}" for month, amount in sorted(committed(run).items())[-3:]),
        "asked": "1" if not run.at_rest and (run.requests.cancel_at or run.requests.delete_at) else "",
        "job_number": str(run.job_number) if run.job_number > 1 else "",
        "endpoint_number": str(run.endpoint_number) if run.endpoint_number > 1 else "",
    }
    return {name: value for name, value in facts.items() if value}


def _stopped_by(run: Run) -> str:
    """What stopped a run that was to be live: somebody has to start it again, or delete it."""
    if run.stage is not Stage.STOPPED or run.error is None:
        return ""
    return f"{run.error.code}: {run.error.message}"


def from_metadata(run_id: str, metadata: Mapping[str, str]) -> IndexEntry:
    """Read an index entry; whatever cannot be read is None, never an error."""
    facts = {name.lower(): value for name, value in metadata.items()}
    stage = _STAGES.get(facts.get("stage", ""))
    # A worker may have died after its run's end, before it could say that it had come to one.
    suspended = facts.get("suspended") if stage is None or not stage.terminal else None
    return IndexEntry(
        run_id=run_id,
        dataset=unquote(facts.get("dataset", "")),
        stage=stage,
        due=_parse(facts.get("due")),
        opened=_parse(facts.get("opened")),
        entered=_parse(facts.get("entered")),
        expires=_parse(facts.get("expires")),
        billable=facts.get("billable") == "1",
        suspended=unquote(suspended) if suspended is not None else None,
        suspended_until=_parse(facts.get("suspended_until")),
        job_open=facts.get("job_open") == "1",
        training=facts.get("training") == "1",
        failing=facts.get("failing") == "1",
        slot_acquired=_parse(facts.get("slot_acquired")),
        waits_for=_KINDS.get(facts.get("waits_for", "")),
        instances=_count(facts.get("instances")),
        attention=unquote(facts["attention"]) if facts.get("attention") else None,
        waiting=unquote(facts["waiting"]) if facts.get("waiting") else None,
        again=facts.get("again") == "1",
        workspace=facts.get("workspace") or None,
        content=facts.get("content") or None,
        parts=facts.get("parts") or None,
        job_number=_count(facts.get("job_number")),
        endpoint_number=_count(facts.get("endpoint_number")),
        newer=_is_newer(facts.get("schema", "")),
        asked=facts.get("asked") == "1",
        cost=_costs(facts.get("cost", "")),
    )


def entry_of(run: Run, suspended: str | None = None) -> IndexEntry:
    """The index entry of a record."""
    return from_metadata(run.run_id, to_metadata(run))._replace(suspended=suspended)


def _count(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[1-9][0-9]?", text) else 1


def _costs(text: str) -> dict[str, float]:
    found = (re.fullmatch(r"([0-9]{4}-[0-9]{2})=([0-9]{1,12}\.[0-9]{2})", part) for part in text.split())
    return {match[1]: float(match[2]) for match in found if match is not None}


def _is_newer(schema: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", schema) is not None and int(schema) > SCHEMA_VERSION


def _ago(moment: datetime | None, now: datetime) -> float:
    return (now - moment).total_seconds() if moment is not None else 0.0


def _render(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment else ""


def _parse(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if not is_supported_timestamp(moment):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
