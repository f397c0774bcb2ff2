"""Runs as HTTP shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shared.domain.index import IndexEntry
from shared.domain.run import Run

_KEPT_BACK = frozenset(
    {"smoke_sample", "smoke_tests", "source", "requests", "schema_version", "claimed", "plan", "trace"}
)


def run_view(run: Run, now: datetime) -> dict[str, Any]:
    """The whole of a run."""
    view: dict[str, Any] = {
        field.name: getattr(run, field.name)
        for field in msgspec.structs.fields(run)
        if field.name not in _KEPT_BACK
    }
    view["upload"] = {"container": run.source.container, "files": run.source.files}
    view["smoke_test"] = run.smoke_tests
    view["plan"] = run.plan
    if run.endpoint is not None:
        view["endpoint"] = {
            "name": run.endpoint.name,
            "live_since": run.endpoint.live_since,
            "expires_at": run.expires_at,
            "idle_at": run.idle_at,
            "idle_minutes": run.options.idle_minutes,
            "last_used": run.last_used,
            "seconds_left": _seconds_left(run, now),
        }
    return view


def entry_view(entry: IndexEntry, now: datetime) -> dict[str, Any]:
    """A run as the list shows it."""
    return {
        "run_id": entry.run_id,
        "dataset": entry.dataset,
        "stage": entry.stage,
        "opened_at": entry.opened,
        "entered_at": entry.entered,
        "due": entry.due,
        "expires_at": entry.expires,
        "parked": entry.parked,
        "needs_attention": entry.needs_attention(now),
    }


def _seconds_left(run: Run, now: datetime) -> int | None:
    if run.stage.terminal or run.expires_at is None:
        return None
    ends = [moment for moment in (run.expires_at, run.idle_at) if moment is not None]
    return max(0, round((min(ends) - now).total_seconds()))
