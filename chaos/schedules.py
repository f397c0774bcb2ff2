"""Everything at once, at random: kills, faults, mishaps, lost messages and people, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

from chaos.arena import Arena, Case, Verdict
from chaos.faults import MISHAPS, TRANSIENT, set_faults
from chaos.wire import Strike, Trouble
from shared.domain.stages import Stage

_CALLS = 110
"""About as many as a run makes on a worker that has served others."""

_FIRST_CALLS = 20
"""That many a run makes in any case."""

_KILLS = (Trouble.KILL_BEFORE, Trouble.KILL_AFTER)


def schedules(arena: Arena, seed: int, count: int) -> Iterator[Case]:
    """So many runs, each with troubles of its own; the same seed has the same troubles."""
    for number in range(count):
        yield Case("randomised schedule", partial(_schedule, arena, random.Random(f"{seed}/{number}")))


def _schedule(arena: Arena, chance: random.Random) -> Verdict:
    mishap = chance.choice(MISHAPS) if chance.random() < 0.25 else None
    wish = chance.choice(["cancel_run", "delete_endpoint", "extend_endpoint", "sweep_endpoints", None, None])
    wish_at = chance.choice([Stage.VALIDATED, Stage.TRAINING, Stage.DEPLOYING, Stage.LIVE, Stage.DELETING])
    plans = _plans(chance)
    if mishap is not None and mishap.strikes:
        plans[0] = [*mishap.strikes, *plans[0]]
    host = arena.host(iter(plans), warm=True)
    host.drops = chance.choice([0, 0, 1, 2])
    faults = set_faults(arena.world, mishap, host.upload) if mishap is not None else []

    def interfere(stage: Stage) -> None:
        if stage is wish_at and wish is not None:
            host.deliver(wish, "" if wish == "sweep_endpoints" else host.upload.run_id)

    end = host.carry(interfere)
    expected = {Stage.DELETED}
    if mishap is not None:
        expected |= mishap.end
    if wish == "cancel_run":
        expected.add(Stage.CANCELED)
    if wish == "delete_endpoint":
        expected.add(Stage.CANCELED)
    return arena.judge(host, end, frozenset(expected), faults=faults)


def _plans(chance: random.Random) -> list[list[Strike]]:
    """A plan for each of the first workers: fewer and fewer troubles, since a run must end some day."""
    plans = []
    for most in (5, 4, 3, 2, 1):
        calls = chance.sample(range(_CALLS), chance.randint(1, most))
        plans.append([_strike(chance, call) for call in calls])
    # One at least is met, however short the run turns out.
    plans[0].append(_strike(chance, chance.randrange(_FIRST_CALLS)))
    return plans


def _strike(chance: random.Random, call: int) -> Strike:
    if chance.random() < 0.35:
        return Strike(chance.choice(_KILLS), call=call)
    return Strike(call=call, **chance.choice(list(TRANSIENT.values())))
