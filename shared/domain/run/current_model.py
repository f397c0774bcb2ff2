"""The current model of a dataset: what its name means, and who decided so when and why.

Every switch is one entry of a history, which one conditional write extends. The runs that held the name form
a stack: a promotion puts a run on top, a rollback takes away what is above the run that it leads back to. The
name means the uppermost run that answers or can be started. So a run that takes the name before it is live
gets requests from the moment it is, and the name outlives a run that is deleted.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

import msgspec

from shared.domain.evaluation.record import Comparison, Verdict

HISTORY_KEPT = 200
"""Switches that are kept, the newest; the stack has its runs from these."""

STACK_LISTED = 8
"""Runs of the stack that one listing of all datasets has."""

PromotionPolicy = Literal["if_not_worse", "always", "manual"]

BY_POLICY = "the app, by PROMOTION"
"""Who promoted a run that its evaluation promoted."""


class SwitchKind(StrEnum):
    """What a switch does."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    WITHDRAWN = "withdrawn"
    # A canary lost its traffic: `previous` is the canary, and `run_id` has the name as before.


class Switch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dataset's name came to mean another run's model.

    Attributes:
        run_id: The run that got the name.
        previous: The run that had it, or None.
        at: UTC.
        by: Who decided.
        why: In a person's words.
    """

    kind: SwitchKind
    run_id: str
    previous: str | None
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    by: str
    why: str


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate that gets a share of the requests that name its dataset.

    Attributes:
        share: Percent.
        since: When it got this share (UTC).
        why: Why it may take the name, by its evaluation.
    """

    run_id: str
    share: int
    since: Annotated[datetime, msgspec.Meta(tz=True)]
    why: str = ""


class NameMeaning(NamedTuple):
    """What a dataset's name means: the first run of `stack` that is available, but for the canary's share."""

    stack: tuple[str, ...]
    canary: str | None = None
    share: int = 0


class CurrentModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dataset's switches, the oldest first."""

    dataset: str
    history: tuple[Switch, ...] = ()
    canary: Canary | None = None

    @property
    def meaning(self) -> NameMeaning:
        """What one listing of all datasets tells."""
        canary, share = (self.canary.run_id, self.canary.share) if self.canary is not None else (None, 0)
        return NameMeaning(self.stack[:STACK_LISTED], canary, share)

    @property
    def stack(self) -> tuple[str, ...]:
        """The runs that the name means, the first that is available; the newest first."""
        runs: list[str] = []
        for switch in self.history:
            if switch.kind is SwitchKind.WITHDRAWN:
                continue
            if switch.kind is SwitchKind.ROLLED_BACK and switch.run_id in runs:
                del runs[runs.index(switch.run_id) + 1 :]
            else:
                runs = [run for run in runs if run != switch.run_id] + [switch.run_id]
        return tuple(reversed(runs))

    def with_switch(self, switch: Switch) -> CurrentModel:
        """The history with one more entry, which ends a canary."""
        history = (*self.history, switch)[-HISTORY_KEPT:]
        return msgspec.structs.replace(self, history=history, canary=None)

    def why_withdrawn(self, run_id: str) -> str | None:
        """Why a canary lost its traffic last, or None if it did not."""
        reasons = [
            switch.why
            for switch in self.history
            if switch.kind is SwitchKind.WITHDRAWN and switch.previous == run_id
        ]
        return reasons[-1] if reasons else None

    def was_promoted_by_policy(self, run_id: str) -> bool:
        """Whether a run got the name by its evaluation, be it long ago."""
        return any(
            switch.run_id == run_id and switch.by == BY_POLICY and switch.kind is SwitchKind.PROMOTED
            for switch in self.history
        )


def meaning_of(stack: Iterable[str], available: Container[str]) -> str | None:
    """The run that a dataset's name means, or None if none of its runs answers or can be started."""
    return next((run_id for run_id in stack if run_id in available), None)


class Promotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was decided of a candidate when it got traffic.

    Attributes:
        promoted: Whether it took the dataset's name.
        why: In a person's words.
        at: UTC.
        waits: Whether a person's answer is asked for (`approval`).
        key: What signs the link that asks for it.
        next_at: When a canary's share is raised (UTC); None if it is none.
    """

    promoted: bool
    why: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    waits: bool = False
    key: str | None = None
    next_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def decide_promotion(
    policy: PromotionPolicy, current: str | None, comparison: Comparison | None, now: datetime
) -> Promotion:
    """Whether a candidate takes the dataset's name.

    Args:
        policy: The run's `promotion`.
        current: The run that has the name, or None.
        comparison: Of the candidate with that run, where they could be compared.
        now: UTC.
    """
    if policy == "manual":
        return Promotion(promoted=False, why="PROMOTION is manual: a person decides", at=now, waits=True)
    if current is None:
        return Promotion(promoted=True, why="no other model has the dataset's name", at=now)
    if policy == "always":
        return Promotion(promoted=True, why="PROMOTION is always", at=now)
    if comparison is None:
        return Promotion(promoted=True, why=f"it could not be compared with {current}", at=now)
    why = f"{comparison.words} against {current}"
    return Promotion(promoted=comparison.verdict is not Verdict.WORSE, why=why, at=now)
