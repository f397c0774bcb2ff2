"""Uploads made to take what others need: the time of the workers, and the slots."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from uuid import uuid4

from chaos.harness import Case, Harness, Verdict
from chaos.host import TIMER
from chaos.nasty_inputs import NASTY, suffix_of
from chaos.worker import Invocation
from shared.domain.run.stages import Stage

NASTY_BYTES = 512 << 10

GREEDY, SLOTS = 50, 2

MOST_MINUTES = 24 * 60
"""The lifetime of an endpoint: by then whoever came first has had its time."""


def greed(harness: Harness, alter: str | None) -> Iterator[Case]:
    """Each nasty input, and one honest upload behind fifty of somebody else."""
    for name in NASTY:
        yield Case("nasty input", partial(_nasty, harness, name))
    yield Case(f"one upload behind {GREEDY} of another", partial(_outnumbered, alter))


def _nasty(harness: Harness, name: str) -> Verdict:
    """What it becomes is told elsewhere; here it must come to an end, and no invocation may take long."""
    upload = harness.world.upload_file(NASTY[name](NASTY_BYTES), suffix_of(name))
    host = harness.host(warm=True, upload=upload)
    return harness.assess(host, host.carry(), frozenset({Stage.REJECTED, Stage.STOPPED}), injected=1)


def _outnumbered(alter: str | None) -> Verdict:
    """In a harness of its own, where slots are few: it goes live right after those who were first."""
    limits = {"MAX_TRAINING_RUNS": str(SLOTS), "MAX_LIVE_ENDPOINTS": str(SLOTS)}
    with Harness(alter, **limits) as harness:
        sender = f"g{uuid4().hex[:8]}"
        greedy = [harness.world.upload(f"{sender}-{number}") for number in range(GREEDY)]
        host = harness.host(warm=True)
        worker = harness.fleet.acquire()
        for upload in (*greedy, host.upload):
            worker.run(Invocation("dataset_uploaded", host.now, upload.path, injections=[]))
        began, stage = host.now, None
        while stage is not Stage.LIVE and (host.now - began).total_seconds() < 60 * MOST_MINUTES:
            host.now += TIMER
            for run_id in worker.run(Invocation("schedule_due_runs", host.now)).messages:
                worker.run(Invocation("advance_run", host.now, run_id))
            entry = harness.world.entry(host.upload.run_id)
            stage = entry.stage if entry is not None else None
        served = sum(Stage.LIVE in harness.world.stages(upload.run_id) for upload in greedy)
        harness.fleet.release(worker)
        end = host.carry()
        return harness.assess(host, end, frozenset({Stage.STOPPED}), injected=GREEDY, holds=served <= SLOTS)
