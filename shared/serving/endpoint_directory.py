"""Find the live endpoint of an endpoint's or a model's name, at most a quarter of a minute old."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from shared.domain.errors import FinetuneError, ModelStartingError, RequestError, UnknownRunError
from shared.domain.run.current_model import NameMeaning, meaning_of
from shared.domain.run.index import IndexEntry
from shared.domain.run.names import run_id_of
from shared.domain.run.parts import StartRequest
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.run.start_times import answers_in
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


class Availability(StrEnum):
    """Whether a model answers."""

    LIVE = "live"
    STARTING = "starting"
    # It was stopped, and is being deployed again.
    STOPPED = "stopped"
    # It is kept, and can be started.


class AvailableModel(NamedTuple):
    """One id under which a model answers, or would once it is started.

    Attributes:
        id: What a request's `model` names.
        endpoint: The run whose endpoint answers.
        since: When it went live or was stopped (UTC).
        status: Whether it answers.
        canary: The run that answers a share of the requests instead, or None.
        share: That share, in percent.
    """

    id: str
    endpoint: str
    since: datetime
    status: Availability = Availability.LIVE
    canary: str | None = None
    share: int = 0


class EndpointDirectory:
    """Finds live endpoints. Finding one records that it is in use.

    However many requests meet an expired entry, the record or the list is read once.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._targets: SingleFlightCache[ScoringTarget] = SingleFlightCache(services.now)
        self._lists: SingleFlightCache[Mapping[str, AvailableModel]] = SingleFlightCache(services.now)

    async def resolve(self, endpoint: str) -> ScoringTarget:
        """Find where to score on an endpoint.

        Raises:
            UnknownRunError: If there is no such endpoint.
            ModelStartingError: If it was stopped, and is being deployed again, on this request or another.
            RequestError: 409 if it is not live yet or stopped, 410 if it was deleted.
        """
        run_id = run_id_of(endpoint) or endpoint
        return await self._targets.get(run_id, lambda: self._use(run_id), lifetime=LOOK_AGAIN)

    async def resolve_model(self, model: str) -> ScoringTarget:
        """Find where to score on a model: an endpoint's name, or a dataset's for its current model.

        Raises:
            RequestError: 404 if no live model has that id; 409 or 410 for an endpoint that is not live.
        """
        found = await self._find(model)
        if found.canary is not None and 100 * self._services.jitter() < found.share:
            # One that does not answer any more gets none of its share.
            with suppress(RequestError, UnknownRunError):
                return await self.resolve(found.canary)
        try:
            return await self.resolve(found.endpoint)
        except (RequestError, UnknownRunError):
            if found.status is not Availability.LIVE:
                raise
            # The list is up to a minute old: another run of the dataset may answer by now.
            self._lists.discard(_LIST)
            return await self.resolve((await self._find(model)).endpoint)

    async def models(self) -> tuple[AvailableModel, ...]:
        """Every model that answers, or would once it is started, as of at most two seconds ago."""
        return tuple((await self._listed(LISTED_AGAIN)).values())

    def forget(self, endpoint: str) -> None:
        """Look the endpoint up before its next request: it did not behave as if it were live."""
        self._targets.discard(run_id_of(endpoint) or endpoint)
        self._lists.discard(_LIST)

    async def canary_of(self, model: str) -> tuple[str, str] | None:
        """The current run of a dataset and the canary beside it, or None if there is no canary."""
        found = (await self._listed(LISTED_FOR)).get(model)
        return (found.endpoint, found.canary) if found is not None and found.canary is not None else None

    def forget_names(self) -> None:
        """List the models anew before the next request: a name was switched."""
        self._lists.discard(_LIST)

    async def _find(self, model: str) -> AvailableModel:
        listed = await self._listed(LISTED_FOR)
        if model not in listed or listed[model].status is not Availability.LIVE:
            listed = await self._listed(LISTED_AGAIN)
        if model not in listed:
            raise await self.absence_of(model)
        return listed[model]

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

    async def _listed(self, lifetime: timedelta) -> Mapping[str, AvailableModel]:
        return await self._lists.get(_LIST, self._list, lifetime=lifetime)

    def _list(self) -> Mapping[str, AvailableModel]:
        # Names first: a run that takes one meanwhile is found by its own name, and the one before it by both.
        names = self._services.current_models.names()
        return available_models(self._services.runs.entries(), names)

    def _use(self, run_id: str) -> ScoringTarget:
        now = self._services.now()
        asked = False

        def use(run: Run) -> Run:
            nonlocal asked
            if asked := _is_to_be_started(run):
                return _with_start(run, now)
            _must_be_live(run, now)
            # A quarter, so that an endpoint in constant use is never taken for one that idles.
            idle = timedelta(minutes=run.options.idle_minutes) or 4 * RECORD_USE
            if run.last_used is not None and now - run.last_used < min(RECORD_USE, idle / 4):
                return run
            return msgspec.structs.replace(run, last_used=now)

        run = update_run(self._services.runs, run_id, use)
        if asked:
            # On the record by now: if the message gets lost, the timer finds it.
            with suppress(FinetuneError):
                self._services.advance_queue.enqueue(run_id, delay=timedelta())
            raise _starting(run, now)
        assert run.endpoint is not None
        live = run.endpoint
        return ScoringTarget(live.name, live.scoring_uri, live.auth_mode, live.serving)


def available_models(
    entries: Iterable[IndexEntry], names: Mapping[str, NameMeaning]
) -> dict[str, AvailableModel]:
    """The ids of all models that answer, or would once they are started: endpoints' names, and datasets'.

    A dataset's name stands for its current model (`current_model`). One without a history, whose runs an
    older version of the app deployed, has its newest live run; if it has none, the newest that can be
    started.

    Args:
        entries: The index of runs.
        names: What the name of each dataset that has a history means.
    """
    found = [
        (entry, status, entry.opened, entry.entered)
        for entry in entries
        if (status := _availability(entry)) is not None and entry.opened and entry.entered
    ]
    models: dict[str, AvailableModel] = {}
    for entry, status, _, entered in sorted(
        found, key=lambda one: (one[1] is Availability.LIVE, one[2], one[0].run_id)
    ):
        models[entry.dataset] = AvailableModel(entry.dataset, entry.run_id, entered, status)
    available = {entry.run_id: (entry, status, entered) for entry, status, _, entered in found}
    for dataset, meaning in names.items():
        models.pop(dataset, None)
        if (current := meaning_of(meaning.stack, available)) is not None:
            _, status, entered = available[current]
            candidate = available.get(meaning.canary or "")
            answering = candidate is not None and candidate[1] is Availability.LIVE
            canary = meaning.canary if answering else None
            models[dataset] = AvailableModel(dataset, current, entered, status, canary, meaning.share)
    # An endpoint's name is never taken by a dataset that is called like it.
    for entry, status, _, entered in found:
        models[entry.run_id] = AvailableModel(entry.run_id, entry.run_id, entered, status)
    return models


def _availability(entry: IndexEntry) -> Availability | None:
    if entry.stage is Stage.LIVE:
        return Availability.LIVE
    if entry.again:
        return Availability.STARTING
    return Availability.STOPPED if entry.stage is Stage.STOPPED else None


def unknown_model(model: str) -> RequestError:
    """The error for an id that no live model has."""
    message = f"no live model is called {model[:256]}; GET /api/v1/models lists those that are live"
    return RequestError(404, message, code="model_not_found")


def _is_to_be_started(run: Run) -> bool:
    """Whether a request starts this run: not one that an error stopped, which a person has to look at."""
    asked = run.start_request or run.requests.delete_at or run.requests.cancel_at
    return run.stage is Stage.STOPPED and run.error is None and run.options.start_on_request and not asked


def _with_start(run: Run, now: datetime) -> Run:
    requests = msgspec.structs.replace(run.requests, start=StartRequest(at=now, after=len(run.history)))
    return msgspec.structs.replace(run, requests=requests, due=now)


def _starting(run: Run, now: datetime) -> ModelStartingError:
    message = f"{run.run_id} was stopped and is being deployed again: try again later"
    return ModelStartingError(message, retry_after=answers_in(run, now).total_seconds())


def _must_be_live(run: Run, now: datetime) -> None:
    if run.stage is Stage.LIVE and run.endpoint is not None:
        return
    if run.starts_again or run.start_request is not None:
        raise _starting(run, now)
    if run.stage.before_live:
        raise RequestError(409, f"{run.run_id} is not live yet: its run is {run.stage}", code="NotLiveYet")
    if run.stage is Stage.STOPPED:
        message = f"{run.run_id} is stopped: POST /api/runs/{run.run_id}/start deploys its model again"
        raise RequestError(409, message, code="Stopped")
    raise RequestError(410, f"{run.run_id} is gone: its run is {run.stage}", code="EndpointGone")
