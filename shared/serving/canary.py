"""Watch a canary: a candidate that gets a share of the requests that name its dataset.

Each process judges by the requests that it serves itself, so that nothing has to be added up, and takes the
share away with one conditional write as soon as errors or latency are beyond a bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from statistics import quantiles
from typing import NamedTuple

from shared.domain.errors import FinetuneError
from shared.domain.run.current_model import BY_POLICY, CurrentModel, Switch, SwitchKind
from shared.logs import get_logger
from shared.ports import Services
from shared.serving.endpoint_directory import EndpointDirectory
from shared.workflow.current_model import switch_current

LEAST_REQUESTS = 20
"""Fewer requests tell nothing of either model."""

REMEMBERED = 100

ERRORS_MORE = 0.1
"""Share of failed requests by which a canary may be worse than the current model."""

TIMES_SLOWER = 2.0
LEAST_SECONDS_SLOWER = 1.0
"""How much longer its 95th percentile may be: both together, since twice a blink is a blink."""

_log = get_logger(__name__)


class _Served(NamedTuple):
    failed: bool
    seconds: float


class CanaryWatch:
    """What this process has seen of canaries and of the models that they may replace."""

    def __init__(self, services: Services, directory: EndpointDirectory) -> None:
        """Begin with nothing seen."""
        self._services = services
        self._directory = directory
        self._seen: dict[str, deque[_Served]] = {}

    async def note(self, model: str, endpoint: str, *, failed: bool, seconds: float) -> None:
        """Remember how a request went; take a canary's traffic away if it is beyond a bound.

        Args:
            model: What the request named.
            endpoint: The run whose endpoint answered.
            failed: Whether it did not answer, through no fault of the caller.
            seconds: Until the reply, or its first piece, was there.
        """
        try:
            found = await self._directory.canary_of(model)
        except FinetuneError:
            # The request is answered, whatever becomes of this.
            return
        if found is None:
            return
        current, canary = found
        self._seen.setdefault(endpoint, deque(maxlen=REMEMBERED)).append(_Served(failed, seconds))
        reason = _beyond(self._seen.get(canary, ()), self._seen.get(current, ()))
        if reason is None or endpoint != canary:
            return
        del self._seen[canary]
        try:
            await asyncio.to_thread(self._withdraw, model, canary, reason)
        except FinetuneError as fault:
            # The next twenty requests say it again.
            _log.warning("a canary keeps its traffic", extra={"run_id": canary, "code": fault.code})

    def _withdraw(self, dataset: str, canary: str, reason: str) -> None:
        _log.warning("a canary loses its traffic", extra={"run_id": canary})
        now = self._services.now()

        def withdraw(model: CurrentModel) -> CurrentModel:
            if model.canary is None or model.canary.run_id != canary:
                return model
            return model.with_switch(
                Switch(
                    kind=SwitchKind.WITHDRAWN,
                    run_id=model.stack[0] if model.stack else canary,
                    previous=canary,
                    at=now,
                    by=BY_POLICY,
                    why=reason,
                )
            )

        switch_current(dataset, withdraw, self._services)
        self._directory.forget_names()


def _beyond(canary: deque[_Served] | tuple[()], current: deque[_Served] | tuple[()]) -> str | None:
    """Which bound a canary is beyond, or None."""
    if len(canary) < LEAST_REQUESTS:
        return None
    errors, usual = _errors(canary), _errors(current) if current else 0.0
    if errors > usual + ERRORS_MORE:
        return f"{errors:.0%} of {len(canary)} requests failed, against {usual:.0%} of the current model"
    if len(current) < LEAST_REQUESTS:
        return None
    slow, usual = _p95(canary), _p95(current)
    if slow > TIMES_SLOWER * usual and slow - usual > LEAST_SECONDS_SLOWER:
        return f"its 95th percentile is {slow:.1f} s, against {usual:.1f} s of the current model"
    return None


def _errors(served: deque[_Served] | tuple[()]) -> float:
    return sum(one.failed for one in served) / len(served)


def _p95(served: deque[_Served] | tuple[()]) -> float:
    return quantiles((one.seconds for one in served), n=20)[-1]
