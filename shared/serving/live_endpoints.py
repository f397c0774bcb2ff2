"""Which endpoints are live, remembered for a minute, and the record of when each was used last."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from shared.domain.errors import RequestError
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.ports import ScoringTarget, Services
from shared.workflow.save_progress import update_run

LOOK_AGAIN = timedelta(minutes=1)
"""How long an endpoint is taken to be live without asking, and how often its use is recorded at most."""


class _Known(NamedTuple):
    target: ScoringTarget
    until: datetime


class LiveEndpoints:
    """Which endpoints are live, as of at most a minute ago. Asking records that one is in use."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[str, _Known] = {}

    async def target(self, endpoint: str) -> ScoringTarget:
        """Find where to score.

        Raises:
            UnknownRunError: If there is no such endpoint.
            RequestError: 409 if it is not live yet, 410 if it was deleted.
        """
        known = self._known.get(endpoint)
        if known is None or known.until <= self._services.now():
            known = await asyncio.to_thread(self._learn, endpoint)
        return known.target

    def forget(self, endpoint: str) -> None:
        """Ask again next time: the endpoint did not behave as if it were live."""
        self._known.pop(endpoint, None)

    def _learn(self, endpoint: str) -> _Known:
        self._known.pop(endpoint, None)
        now = self._services.now()

        def use(run: Run) -> Run:
            _must_be_live(run)
            if run.last_used is not None and now - run.last_used < LOOK_AGAIN:
                return run
            return msgspec.structs.replace(run, last_used=now)

        run = update_run(self._services.runs, endpoint, use)
        assert run.endpoint is not None
        target = ScoringTarget(endpoint, run.endpoint.scoring_uri, run.endpoint.auth_mode)
        self._known[endpoint] = _Known(target, now + LOOK_AGAIN)
        return self._known[endpoint]


def _must_be_live(run: Run) -> None:
    if run.stage is Stage.LIVE and run.endpoint is not None:
        return
    if run.stage.before_live:
        raise RequestError(409, f"{run.run_id} is not live yet: its run is {run.stage}", code="NotLiveYet")
    if run.stage is Stage.STOPPED:
        message = f"{run.run_id} is stopped: POST /api/runs/{run.run_id}/start deploys its model again"
        raise RequestError(409, message, code="Stopped")
    raise RequestError(410, f"{run.run_id} is gone: its run is {run.stage}", code="EndpointGone")
