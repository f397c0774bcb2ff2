"""The concurrency slots on a run's record."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec


class SlotKind(StrEnum):
    """What a slot is for."""

    TRAINING = "training"
    ENDPOINT = "endpoint"


class Reservation(StrEnum):
    """A list of runs that is kept like that of the holders of slots."""

    MONTH = "month"
    # Runs that have their share of MAX_MONTHLY_COST.


class SlotRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest request of a run for a concurrency slot, and how it ended.

    Attributes:
        kind: What the slot is for.
        acquired: Whether the run holds the slot.
        at: When the run asked (UTC).
        in_use: Slots of that kind in use when the run was refused.
        limit: How many there are.
        position: The run's place among those that wait, from 1.
    """

    kind: SlotKind
    acquired: bool
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    in_use: int = 0
    limit: int = 0
    position: int = 0
