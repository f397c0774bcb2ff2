"""Everything at once, at random: kills, faults of calls and services, lost messages, people, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

from chaos.faults import SERVICE_FAULTS, TRANSIENT, set_faults
from chaos.harness import Case, Harness, Verdict
from chaos.wire import FaultKind, Injection
from shared.domain.run.stages import Stage

_CALLS = 110
"""About as many as a run makes on a worker that has served others."""

_FIRST_CALLS = 20
"""That many a run makes in any case."""

_KILLS = (FaultKind.KILL_BEFORE, FaultKind.KILL_AFTER)


def schedules(harness: Harness, seed: int, count: int) -> Iterator[Case]:
    """So many runs, each with faults of its own; the same seed repeats them."""
    for number in range(count):
        yield Case("randomised schedule", partial(_schedule, harness, random.Random(f"{seed}/{number}")))


def _schedule(harness: Harness, rng: random.Random) -> Verdict:
    service_fault = rng.choice(SERVICE_FAULTS) if rng.random() < 0.25 else None
    request = rng.choice(
        ["cancel_run", "delete_endpoint", "extend_endpoint", "reconcile_resources", None, None]
    )
    request_at = rng.choice([Stage.VALIDATED, Stage.TRAINING, Stage.DEPLOYING, Stage.LIVE, Stage.DELETING])
    plans = _plans(rng)
    if service_fault is not None and service_fault.injections:
        plans[0] = [*service_fault.injections, *plans[0]]
    host = harness.host(iter(plans), warm=True)
    host.drops = rng.choice([0, 0, 1, 2])
    faults = set_faults(harness.world, service_fault, host.upload) if service_fault is not None else []

    def interfere(stage: Stage) -> None:
        if stage is request_at and request is not None:
            host.deliver(request, "" if request == "reconcile_resources" else host.upload.run_id)

    end = host.carry(interfere)
    expected = {Stage.STOPPED}
    if service_fault is not None:
        expected |= service_fault.end
    if request in {"cancel_run", "delete_endpoint"}:
        expected |= {Stage.CANCELED, Stage.DELETED}
    return harness.assess(host, end, frozenset(expected), faults=faults)


def _plans(rng: random.Random) -> list[list[Injection]]:
    """A plan for each of the first workers: fewer and fewer faults, since a run must end some day."""
    plans = []
    for most in (5, 4, 3, 2, 1):
        calls = rng.sample(range(_CALLS), rng.randint(1, most))
        plans.append([_injection(rng, call) for call in calls])
    # One at least is met, however short the run turns out.
    plans[0].append(_injection(rng, rng.randrange(_FIRST_CALLS)))
    return plans


def _injection(rng: random.Random, call: int) -> Injection:
    if rng.random() < 0.35:
        return Injection(rng.choice(_KILLS), call=call)
    return Injection(call=call, **rng.choice(list(TRANSIENT.values())))
