"""Render a run's index entry as blob metadata, and read it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

from shared.domain.run.budget import committed
from shared.domain.run.cost import NO_USE, Span, Use, endpoint_use, training_use
from shared.domain.run.index import MANY_FAILURES, IndexEntry
from shared.domain.run.run import SCHEMA_VERSION, Run
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage
from shared.domain.run.upload_change import content_key, parts_key
from shared.domain.run.waiting import waiting_for
from shared.domain.sanitize import is_supported_timestamp

ATTENTION_LIMIT = 1200
"""Bytes of the reason for attention that the index keeps, as metadata has them: of the 8 KiB of a blob's
metadata (https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources).
The record has it whole."""

NOTE_LIMIT = 900
"""The same of why a run ended."""

WAITING_LIMIT = 300
"""The same of what a run waits for."""

_STAGES = {stage.value: stage for stage in Stage}
_KINDS = {kind.value: kind for kind in SlotKind}


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
        "instances": str(run.endpoint_vms) if run.endpoint_vms > 1 else "",
        "attention": _quoted(attention, ATTENTION_LIMIT),
        "waiting": _quoted(waiting_for(run) or "", WAITING_LIMIT),
        "base_model": _quoted(_base_model(run), NOTE_LIMIT),
        "note": _quoted(run.end_note or "", NOTE_LIMIT),
        "acknowledged": "1" if run.acknowledged else "",
        "training_use": _render_use(training_use(run)),
        "endpoint_use": _render_use(endpoint_use(run)),
        "eval_loss": _shown(run.metrics.eval_loss if run.metrics else None),
        "chrf": _shown(_chrf(run)),
        "again": "1" if run.starts_again else "",
        "workspace": run.workspace_id or "",
        "content": content_key(run.source.files[0]),
        "parts": parts_key(run.source.parts),
        "schema": str(run.schema_version),
        "asked": "1" if not run.at_rest and (run.requests.cancel_at or run.requests.delete_at) else "",
        "job_number": str(run.job_number) if run.job_number > 1 else "",
        "endpoint_number": str(run.endpoint_number) if run.endpoint_number > 1 else "",
        "cost": " ".join(f"{month}={amount:.2f}" for month, amount in sorted(committed(run).items())[-3:]),
    }
    return {name: value for name, value in facts.items() if value}


def _stopped_by(run: Run) -> str:
    """What stopped a run that was to be live: somebody has to start it again, or delete it."""
    if run.stage is not Stage.STOPPED or run.error is None or run.acknowledged:
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
        base_model=unquote(facts["base_model"]) if facts.get("base_model") else None,
        note=unquote(facts["note"]) if facts.get("note") else None,
        acknowledged=facts.get("acknowledged") == "1",
        training_use=_read_use(facts.get("training_use", "")),
        endpoint_use=_read_use(facts.get("endpoint_use", "")),
        eval_loss=_number(facts.get("eval_loss")),
        chrf=_number(facts.get("chrf")),
        cost=_costs(facts.get("cost", "")),
    )


def entry_of(run: Run, suspended: str | None = None) -> IndexEntry:
    """The index entry of a record."""
    return from_metadata(run.run_id, to_metadata(run))._replace(suspended=suspended)


def _chrf(run: Run) -> float | None:
    measured = run.evaluation.metrics.get("chrf") if run.evaluation is not None else None
    return None if measured is None else measured.value


def _shown(value: float | None) -> str:
    return "" if value is None else repr(value)


def _base_model(run: Run) -> str:
    if run.plan is None:
        return run.options.base_model
    return f"{run.plan.base_model_name}:{run.plan.base_model_version}"


def _quoted(text: str, limit: int) -> str:
    """The beginning of a text as metadata may have it, of at most so many bytes."""
    while len(encoded := quote(text, safe=" ,")) > limit:
        text = text[: len(text) * limit // len(encoded)]
    return encoded


def _render_use(use: Use) -> str:
    """A use in one line; nothing for one that never began."""
    ended, since = use.span
    if ended is None and since is None:
        return ""
    seconds = "" if ended is None else f"{ended.total_seconds():.3f}"
    return f"{use.size or ''},{use.nodes},{seconds},{_render(since)}"


def _read_use(text: str) -> Use:
    found = re.fullmatch(r"([A-Za-z0-9._:-]*),([1-9][0-9]{0,5}),([0-9]{1,12}[.][0-9]{3})?,(.*)", text)
    if found is None:
        return NO_USE
    size, nodes, seconds, since = found.groups()
    ended = timedelta(seconds=float(seconds)) if seconds else None
    return Use(size or None, int(nodes), Span(ended, _parse(since)))


def _costs(text: str) -> dict[str, float]:
    found = (re.fullmatch(r"([0-9]{4}-[0-9]{2})=([0-9]{1,12}[.][0-9]{2})", part) for part in text.split())
    return {match[1]: float(match[2]) for match in found if match is not None}


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _count(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[1-9][0-9]?", text) else 1


def _is_newer(schema: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", schema) is not None and int(schema) > SCHEMA_VERSION


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
