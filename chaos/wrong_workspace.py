"""An app whose settings name another workspace for a while: nothing may end or be touched meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from azureml_emulator import Emulator

from chaos.harness import Case, Harness, Verdict
from chaos.host import TIMER, Host
from chaos.wire import FaultKind, Injection
from chaos.worker import Invocation
from shared.domain.run.stages import Stage

ASTRAY_MINUTES = 10

_SECOND_WORKSPACE = "00000000-0000-0000-0000-0000000000cc"

_STAGES = (Stage.TRAINING, Stage.DEPLOYING, Stage.LIVE, Stage.DELETING)


class _Seen(NamedTuple):
    """What the index says of the run after a tick of the misled app."""

    stage: Stage | None
    attention: bool


def wrong_workspace(harness: Harness) -> Iterator[Case]:
    """A name that no workspace has, and somebody else's workspace, in every stage that costs."""
    typo = {"AZUREML_WORKSPACE": "lcoal"}
    for stage in _STAGES:
        yield Case("workspace misspelt for ten minutes", partial(_astray, harness, stage, typo))
    for stage in _STAGES:
        yield Case("another workspace for ten minutes", partial(_elsewhere, harness, stage))


def _elsewhere(harness: Harness, stage: Stage) -> Verdict:
    # It has the same name: the id alone tells it from ours.
    with Emulator(pace="instant", strict=True, workspace_id=_SECOND_WORKSPACE) as second:
        return _astray(harness, stage, second.environment)


def _astray(harness: Harness, stage: Stage, environment: dict[str, str]) -> Verdict:
    seen: list[_Seen] = []

    def mislead(found: Stage) -> None:
        if found is stage:
            seen.extend(_misled(harness, host, environment))
            # The setting is put right.
            host.run_concurrently("reconcile_resources")

    # A busy service keeps the run in that stage until it is found there.
    busy = Injection(FaultKind.STATUS, path="/subscriptions/", stage=stage, status=429, retry_after=30)
    host = harness.host(iter([[busy]]), warm=True)
    end = host.carry(mislead)
    untouched = bool(seen) and all(one.stage is stage for one in seen)
    told = bool(seen) and seen[-1].attention
    return harness.assess(host, end, frozenset({Stage.STOPPED}), injected=len(seen), holds=untouched and told)


def _misled(harness: Harness, host: Host, environment: dict[str, str]) -> Iterator[_Seen]:
    """Ten minutes of every timer, and of the run's own messages, on a worker with the wrong settings."""
    worker = harness.fleet.spawn(**environment)
    try:
        for _ in range(ASTRAY_MINUTES):
            host.now += TIMER
            harness.world.expire_lease(host.upload.run_id)
            worker.run(Invocation("advance_run", host.now, host.upload.run_id, injections=[]))
            worker.run(Invocation("reconcile_resources", host.now, injections=[]))
            entry = harness.world.entry(host.upload.run_id)
            assert entry is not None
            yield _Seen(entry.stage, entry.needs_attention(host.now))
    finally:
        worker.close()
