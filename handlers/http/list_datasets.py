"""`GET /api/datasets`: which run's model each dataset's name means now."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from handlers.http.responses import Response, json_response
from shared.domain.run.names import is_run_id
from shared.ports import Services
from shared.serving.endpoint_directory import available_models


class CurrentView(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that has a model."""

    dataset: str
    current: Annotated[str, Meta(description="The run whose model its name means.")]


class DatasetsView(msgspec.Struct, frozen=True, kw_only=True):
    """The datasets that have a model that answers, or would once it is started, by name."""

    datasets: list[CurrentView]


def list_datasets(services: Services) -> Response:
    """List the current models."""
    names = services.current_models.names()
    models = available_models(services.runs.entries(), names)
    # An endpoint's own name is in there, too, and none of a dataset.
    found = [
        CurrentView(dataset=name, current=one.endpoint) for name, one in models.items() if not is_run_id(name)
    ]
    return json_response(200, DatasetsView(datasets=sorted(found, key=lambda one: one.dataset)))
