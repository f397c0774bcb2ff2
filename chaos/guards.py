"""The last slot: in whatever order two runs try to acquire it, no limit is exceeded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Event

from azureml_emulator import INSTANT

from chaos.harness import Case, Harness, Verdict
from chaos.host import Host
from chaos.wire import FaultKind, Injection
from shared.domain.run.stages import Stage

SLOTS = 2

WAIT_SECONDS = 60.0
"""For what another run is to do meanwhile; a run that waits in vain goes on."""

PACE = replace(INSTANT, name="instant but for jobs", job_queue=1.0)
"""So long that a run is found in training."""

_WRITES = ("PUT /devstoreaccount1/coordination/slots/endpoint", "PUT /devstoreaccount1/runs/")
"""The paused run stops before one of these: after listing, or after acquiring its slot but before saving."""

_ASKED = frozenset({Stage.REGISTERED, Stage.DEPLOYING, Stage.LIVE})
"""Where a run is found that has asked for an endpoint, with or without success."""


def guards(alter: str | None) -> Iterator[Case]:
    """Contests in a harness of their own, where all other slots are free and limits are low."""
    for point in _WRITES:
        yield Case(f"{SLOTS + 1} runs for {SLOTS} endpoints", partial(_contested, alter, point))


def _contested(alter: str | None, point: str) -> Verdict:
    """One run is live; another is paused before it acquires the last slot; one opened earlier comes by."""
    limits = {"MAX_TRAINING_RUNS": str(SLOTS), "MAX_LIVE_ENDPOINTS": str(SLOTS)}
    with Harness(alter, **limits) as harness, ThreadPoolExecutor(SLOTS + 1) as pool:
        harness.set_pace(PACE)
        live, early = harness.host(warm=True), harness.host(warm=True)
        late = harness.host(iter([[Injection(FaultKind.PAUSE_BEFORE, path=point, times=100)]]), warm=True)
        up, stands, by, through = Event(), Event(), Event(), Event()
        overtaken: list[bool] = []

        def at_live(stage: Stage) -> None:
            if stage is Stage.LIVE:
                up.set()
                through.wait(WAIT_SECONDS)

        def at_early(stage: Stage) -> None:
            if stage is Stage.TRAINING:
                stands.wait(WAIT_SECONDS)
            if stage in _ASKED:
                by.set()
                through.wait(WAIT_SECONDS)

        def pause() -> None:
            entry = harness.world.entry(late.upload.run_id)
            if entry is not None and entry.stage is Stage.REGISTERED and not stands.is_set():
                overtaken.append(not by.is_set())
                stands.set()
                by.wait(WAIT_SECONDS)

        late.on_pause = pause
        first = pool.submit(live.carry, at_live)
        up.wait(WAIT_SECONDS)
        second = pool.submit(early.carry, at_early)
        third = pool.submit(late.carry, lambda stage: through.set() if stage in _ASKED else None)
        ends = [first.result(), second.result(), third.result()]
        return _assessed(harness, [live, early, late], ends, met=sum(overtaken))


def _assessed(harness: Harness, hosts: list[Host], ends: list[Stage | None], *, met: int) -> Verdict:
    most = harness.world.most_endpoints_at_once()
    deleted = frozenset({Stage.STOPPED})
    verdicts = [
        harness.assess(host, end, deleted, holds=most == SLOTS) for host, end in zip(hosts, ends, strict=True)
    ]
    wrong = next((verdict.note for verdict in verdicts if verdict.note), None)
    return Verdict(
        injected=met,
        runs=len(verdicts),
        expected=sum(verdict.expected for verdict in verdicts),
        duplicates=sum(verdict.duplicates for verdict in verdicts),
        leaked=sum(verdict.leaked for verdict in verdicts),
        lost=sum(verdict.lost for verdict in verdicts),
        note=f"{most} endpoints at once; {wrong}" if wrong else "",
    )
