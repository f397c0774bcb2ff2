"""The last place: however two runs overtake each other on the way to it, no limit is exceeded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Event

from azureml_emulator import INSTANT

from chaos.arena import Arena, Case, Verdict
from chaos.host import Host
from chaos.wire import Strike, Trouble
from shared.domain.stages import Stage

PLACES = 2

WAIT_SECONDS = 60.0
"""For what another run is to do meanwhile; a run that waits in vain goes on."""

PACE = replace(INSTANT, name="instant but for jobs", job_queue=1.0)
"""So long that a run is found in training."""

_WRITES = ("PUT /devstoreaccount1/claims/place/endpoint", "PUT /devstoreaccount1/runs/")
"""Before these one stands still: when it has listed, and when it has its place but has not said so."""

_ASKED = frozenset({Stage.REGISTERED, Stage.DEPLOYING, Stage.LIVE})
"""Where a run is found that has asked for an endpoint, with or without success."""


def guards(alter: str | None) -> Iterator[Case]:
    """Contests in an arena of their own, where all other places are free and limits are low."""
    for point in _WRITES:
        yield Case(f"{PLACES + 1} runs for {PLACES} endpoints", partial(_contested, alter, point))


def _contested(alter: str | None, point: str) -> Verdict:
    """One run is live; another stands still on its way to the last place; one opened earlier comes by."""
    limits = {"MAX_TRAINING_RUNS": str(PLACES), "MAX_LIVE_ENDPOINTS": str(PLACES)}
    with Arena(alter, **limits) as arena, ThreadPoolExecutor(PLACES + 1) as pool:
        arena.set_pace(PACE)
        live, early = arena.host(warm=True), arena.host(warm=True)
        late = arena.host(iter([[Strike(Trouble.PAUSE_BEFORE, path=point, times=100)]]), warm=True)
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
            entry = arena.world.entry(late.upload.run_id)
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
        return _judged(arena, [live, early, late], ends, met=sum(overtaken))


def _judged(arena: Arena, hosts: list[Host], ends: list[Stage | None], *, met: int) -> Verdict:
    most = arena.world.most_endpoints_at_once()
    deleted = frozenset({Stage.DELETED})
    verdicts = [
        arena.judge(host, end, deleted, holds=most == PLACES) for host, end in zip(hosts, ends, strict=True)
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
