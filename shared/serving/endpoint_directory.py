"""Find the live endpoint of an endpoint's or a model's name, at most a quarter of a minute old."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from shared.domain.errors import RequestError, UnknownRunError
from shared.domain.run.index import IndexEntry
from shared.domain.run.names import run_id_of
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import ScoringTarget, Services
from shared.single_flight import SingleFlightCache
from shared.workflow.save_progress import update_run

LOOK_AGAIN = timedelta(seconds=15)
"""How long an endpoint is taken to be live without reading its record."""

RECORD_USE = timedelta(minutes=1)
"""How often the use of an endpoint is recorded, unless `idle_minutes` is so short that it must be oftener."""

LISTED_FOR = timedelta(minutes=1)
"""How long the list of live runs is taken to be right for the models that are on it."""

LISTED_AGAIN = timedelta(seconds=2)
"""How long it is taken to be right for what is not on it: requests for unknown models cost few listings."""

_LIST = "live"


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


class EndpointDirectory:
    """Finds live endpoints. Finding one records that it is in use.

    However many requests meet an expired entry, the record or the list is read once.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._targets: SingleFlightCache[ScoringTarget] = SingleFlightCache(services.now)
        self._lists: SingleFlightCache[Mapping[str, LiveModel]] = SingleFlightCache(services.now)

    async def resolve(self, endpoint: str) -> ScoringTarget:
        """Find where to score on an endpoint.

        Raises:
            UnknownRunError: If there is no such endpoint.
            RequestError: 409 if it is not live yet or stopped, 410 if it was deleted.
        """
        run_id = run_id_of(endpoint) or endpoint
        return await self._targets.get(run_id, lambda: self._use(run_id), lifetime=LOOK_AGAIN)

    async def resolve_model(self, model: str) -> ScoringTarget:
        """Find where to score on a model: an endpoint's name, or a dataset's for its newest live run.

        Raises:
            RequestError: 404 if no live model has that id; 409 or 410 for an endpoint that is not live.
        """
        endpoint = await self._endpoint_of(model)
        try:
            return await self.resolve(endpoint)
        except (RequestError, UnknownRunError):
            # The list is up to a minute old: another run of the dataset may answer by now.
            self._lists.discard(_LIST)
            return await self.resolve(await self._endpoint_of(model))

    async def models(self) -> tuple[LiveModel, ...]:
        """Every live model, as of at most two seconds ago."""
        return tuple((await self._listed(LISTED_AGAIN)).values())

    def forget(self, endpoint: str) -> None:
        """Look the endpoint up before its next request: it did not behave as if it were live."""
        self._targets.discard(run_id_of(endpoint) or endpoint)
        self._lists.discard(_LIST)

    async def _endpoint_of(self, model: str) -> str:
        listed = await self._listed(LISTED_FOR)
        if model not in listed:
            listed = await self._listed(LISTED_AGAIN)
        if model not in listed:
            raise await self.absence_of(model)
        return listed[model].endpoint

    async def absence_of(self, model: str) -> RequestError:
        """The error for a model that is not listed: 409 or 410 for an endpoint's name, or else 404."""
        if run_id_of(model) is not None:
            try:
                await self.resolve(model)
            except RequestError as fault:
                return fault
            except UnknownRunError:
                return unknown_model(model)
        return unknown_model(model)

    async def _listed(self, lifetime: timedelta) -> Mapping[str, LiveModel]:
        return await self._lists.get(
            _LIST, lambda: live_models(self._services.runs.entries()), lifetime=lifetime
        )

    def _use(self, run_id: str) -> ScoringTarget:
        now = self._services.now()

        def use(run: Run) -> Run:
            _must_be_live(run)
            # A quarter, so that an endpoint in constant use is never taken for one that idles.
            idle = timedelta(minutes=run.options.idle_minutes) or 4 * RECORD_USE
            if run.last_used is not None and now - run.last_used < min(RECORD_USE, idle / 4):
                return run
            return msgspec.structs.replace(run, last_used=now)

        run = update_run(self._services.runs, run_id, use)
        assert run.endpoint is not None
        live = run.endpoint
        return ScoringTarget(live.name, live.scoring_uri, live.auth_mode, live.serving)


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
    """The error for an id that no live model has."""
    message = f"no live model is called {model[:256]}; GET /api/v1/models lists those that are live"
    return RequestError(404, message, code="model_not_found")


def _must_be_live(run: Run) -> None:
    if run.stage is Stage.LIVE and run.endpoint is not None:
        return
    if run.stage.before_live:
        raise RequestError(409, f"{run.run_id} is not live yet: its run is {run.stage}", code="NotLiveYet")
    if run.stage is Stage.STOPPED:
        message = f"{run.run_id} is stopped: POST /api/runs/{run.run_id}/start deploys its model again"
        raise RequestError(409, message, code="Stopped")
    raise RequestError(410, f"{run.run_id} is gone: its run is {run.stage}", code="EndpointGone")
