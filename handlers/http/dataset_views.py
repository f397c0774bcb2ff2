"""The public form of a dataset's current model."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.domain.run.current_model import CurrentModel, SwitchKind
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage


class SwitchView(msgspec.Struct, frozen=True, kw_only=True):
    """When the dataset's name came to mean another model, who decided so, and why."""

    kind: SwitchKind
    run_id: str
    previous: Annotated[str | None, Meta(description="The run that had the name before.")]
    at: datetime
    by: str
    why: str


class CanaryView(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that answers some of the requests that name the dataset."""

    run_id: str
    share: Annotated[int, Meta(description="Percent.")]
    since: datetime


class DatasetView(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset and its current model, which is what its name means in the OpenAI API."""

    dataset: str
    current: Annotated[str | None, Meta(description="The run that has the model; null if there is none.")]
    stage: Annotated[Stage | None, Meta(description="Of that run: `live` if the model answers.")]
    canary: Annotated[CanaryView | None, Meta(description="The candidate that gets a share of the requests.")]
    history: Annotated[list[SwitchView], Meta(description="The newest first.")]


def dataset_view(model: CurrentModel, current: Run | None) -> DatasetView:
    """What is public of a dataset."""
    return DatasetView(
        dataset=model.dataset,
        current=current.run_id if current is not None else None,
        stage=current.stage if current is not None else None,
        canary=msgspec.convert(model.canary, CanaryView | None, from_attributes=True),
        history=[
            msgspec.convert(switch, SwitchView, from_attributes=True) for switch in reversed(model.history)
        ],
    )
