"""Which models can be talked to: each live endpoint by its name, each dataset's newest by the dataset's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.errors import RequestError
from shared.domain.run.index import IndexEntry
from shared.domain.run.stages import Stage
from shared.ports import Services

LISTED_FOR = timedelta(minutes=1)
"""How long the list of live runs is taken to be right for what is on it."""

LISTED_AGAIN = timedelta(seconds=2)
"""How long it is taken to be right for what is not on it: asking for nonsense costs few listings."""


class LiveModel(NamedTuple):
    """One id under which a model answers.

    Attributes:
        id: What a request's `model` names.
        endpoint: The endpoint that answers.
        since: When it went live (UTC).
    """

    id: str
    endpoint: str
    since: datetime


class LiveModels:
    """The models of this moment, as of at most a minute ago."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._models: dict[str, LiveModel] = {}
        self._listed: datetime | None = None
        self._listing = asyncio.Lock()

    async def endpoint_of(self, model: str) -> str:
        """Find the endpoint that a model id means.

        Raises:
            RequestError: 404 if no live model has that id.
        """
        if not self._fresh(LISTED_FOR) or (model not in self._models and not self._fresh(LISTED_AGAIN)):
            await self.list_now()
        found = self._models.get(model)
        if found is None:
            raise unknown_model(model)
        return found.endpoint

    async def list_now(self) -> tuple[LiveModel, ...]:
        """Every live model, by one listing of the index."""
        async with self._listing:
            if not self._fresh(LISTED_AGAIN):
                entries = await asyncio.to_thread(lambda: list(self._services.runs.entries()))
                self._models = live_models(entries)
                self._listed = self._services.now()
        return tuple(self._models.values())

    def forget(self) -> None:
        """List anew before the next answer: a model did not behave as if it were live."""
        self._listed = None

    def _fresh(self, span: timedelta) -> bool:
        return self._listed is not None and self._services.now() - self._listed < span


def live_models(entries: Iterable[IndexEntry]) -> dict[str, LiveModel]:
    """The ids of all live runs: their endpoints' names, and their datasets', where the newest run wins."""
    models: dict[str, LiveModel] = {}
    live = [entry for entry in entries if entry.stage is Stage.LIVE and entry.opened and entry.entered]
    for entry in sorted(live, key=lambda entry: (entry.opened or entry.entered, entry.run_id)):
        assert entry.entered is not None
        models[entry.dataset] = LiveModel(entry.dataset, entry.run_id, entry.entered)
    # An endpoint's name is never taken by a dataset that is called like it.
    for entry in live:
        assert entry.entered is not None
        models[entry.run_id] = LiveModel(entry.run_id, entry.run_id, entry.entered)
    return models


def unknown_model(model: str) -> RequestError:
    """What is said of an id that no live model has."""
    message = f"no live model is called {model[:256]}; GET /api/v1/models lists those that are live"
    return RequestError(404, message, code="model_not_found")
