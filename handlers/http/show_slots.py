"""`GET /api/slots`: how many runs may train or be live at once, and how many do."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from handlers.http.responses import Response, json_response
from shared.config import Settings
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.slots import current_holders, usage
from shared.ports import Services


class SlotsOfKind(msgspec.Struct, frozen=True, kw_only=True):
    """The concurrency slots of one kind."""

    in_use: Annotated[int, Meta(ge=0)]
    limit: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Most at once; null without a limit.")
    ]
    waiting: Annotated[int, Meta(ge=0, description="Runs that asked for one and wait for their turn.")]


class SlotsView(msgspec.Struct, frozen=True, kw_only=True):
    """Slots for training (a run takes one) and for endpoints (a run takes one for each of its VMs)."""

    training: SlotsOfKind
    endpoint: SlotsOfKind


def show_slots(settings: Settings, services: Services) -> Response:
    """Count the slots in use.

    Args:
        settings: They hold the limits.
        services: The ports.
    """
    listed = {kind: services.slots.holders(kind).runs for kind in SlotKind}
    # Read after the lists: a run that is on a list and not in the index no longer exists.
    entries = services.runs.entries()

    def count(kind: SlotKind, limit: int) -> SlotsOfKind:
        in_use, waiting = usage(kind, current_holders(kind, listed[kind], entries), entries)
        return SlotsOfKind(in_use=in_use, limit=limit or None, waiting=waiting)

    view = SlotsView(
        training=count(SlotKind.TRAINING, settings.max_training_runs),
        endpoint=count(SlotKind.ENDPOINT, settings.max_live_endpoints),
    )
    return json_response(200, view)
