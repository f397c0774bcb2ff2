"""Runs as HTTP shows them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.domain.run.cost import Prices, RunCost, run_cost
from shared.domain.run.index import IndexEntry, entry_of
from shared.domain.run.run import Run, SmokeTest, Source, TrainingPlan
from shared.domain.run.stages import Stage
from shared.ports import StoredRun

_KEPT_BACK = frozenset(
    {
        "smoke_sample",
        "smoke_tests",
        "source",
        "requests",
        "schema_version",
        "claimed",
        "plan",
        "slot",
        "workspace_id",
        "refused_since",
        "job_missing_since",
        "endpoint_missing_since",
        "trace",
    }
)


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """A live endpoint and the time that it has."""

    name: str
    live_since: datetime
    expires_at: datetime | None
    idle_at: Annotated[datetime | None, Meta(description="When it will have been unused for too long.")]
    idle_minutes: float
    last_used: Annotated[datetime | None, Meta(description="To within a minute.")]
    seconds_left: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Until it is deleted; null once its run is over.")
    ]


_Suspended = Annotated[str | None, Meta(description="Why the run waits for somebody's retry.")]


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the list shows it."""

    run_id: str
    dataset: str
    stage: Annotated[Stage | None, Meta(description="null if the record cannot be read.")]
    opened_at: datetime | None
    entered_at: datetime | None
    due: datetime | None
    expires_at: datetime | None
    suspended: _Suspended
    needs_attention: bool


class RunPageView(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list."""

    runs: list[EntryView]
    next: Annotated[str | None, Meta(description="The next page's cursor; null at the end.")]


if TYPE_CHECKING:
    RunView = Any
else:
    # A run as it is kept, without what is nobody's business: whatever a run comes to have, its view has.
    RunView = msgspec.defstruct(
        "RunView",
        [
            *(
                (field.name, EndpointView | None if field.name == "endpoint" else field.type)
                for field in msgspec.structs.fields(Run)
                if field.name not in _KEPT_BACK
            ),
            ("upload", Source),
            ("smoke_test", tuple[SmokeTest, ...] | None),
            ("plan", TrainingPlan | None),
            ("suspended", _Suspended | UnsetType, UNSET),
            ("needs_attention", bool | UnsetType, UNSET),
            ("cost", RunCost | UnsetType, UNSET),
        ],
        frozen=True,
        kw_only=True,
        namespace={
            "__doc__": "A run. `GET /api/runs/{id}` alone has `suspended`, `needs_attention`, `cost`."
        },
    )


def run_view(run: Run, now: datetime) -> RunView:
    """The record of a run."""
    kept = {
        field.name: getattr(run, field.name)
        for field in msgspec.structs.fields(run)
        if field.name not in _KEPT_BACK
    }
    return RunView(
        **kept
        | {
            "upload": run.source,
            "smoke_test": run.smoke_tests,
            "plan": run.plan,
            "endpoint": _endpoint_view(run, now),
        },
    )


def whole_view(stored: StoredRun, now: datetime, prices: Prices) -> RunView:
    """A run with what is known besides its record."""
    return msgspec.structs.replace(
        run_view(stored.run, now),
        suspended=stored.suspended,
        needs_attention=entry_of(stored.run, stored.suspended).needs_attention(now),
        cost=run_cost(stored.run, prices, now),
    )


def entry_view(entry: IndexEntry, now: datetime) -> EntryView:
    """A run as the list shows it."""
    return EntryView(
        run_id=entry.run_id,
        dataset=entry.dataset,
        stage=entry.stage,
        opened_at=entry.opened,
        entered_at=entry.entered,
        due=entry.due,
        expires_at=entry.expires,
        suspended=entry.suspended,
        needs_attention=entry.needs_attention(now),
    )


def _endpoint_view(run: Run, now: datetime) -> EndpointView | None:
    if run.endpoint is None:
        return None
    return EndpointView(
        name=run.endpoint.name,
        live_since=run.endpoint.live_since,
        expires_at=run.expires_at,
        idle_at=run.idle_at,
        idle_minutes=run.options.idle_minutes,
        last_used=run.last_used,
        seconds_left=_seconds_left(run, now),
    )


def _seconds_left(run: Run, now: datetime) -> int | None:
    if run.stage.at_rest or run.ends_at is None:
        return None
    return max(0, round((run.ends_at - now).total_seconds()))
