"""How long a run's model takes to answer once it is started, by how long it took before."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from shared.domain.run.run import Run
from shared.domain.run.stages import Stage

USUAL = timedelta(minutes=10)
"""What is taken for the first start's time: a large model's container takes about that long to be ready."""

LEAST = timedelta(seconds=10)
LONGEST = timedelta(hours=1)


def start_took(run: Run) -> timedelta:
    """How long the run took last from having its model registered to being live."""
    took, begun = None, None
    for entry, following in pairwise(run.history):
        if entry.stage is Stage.REGISTERED:
            begun = entry.at
        if following.stage is Stage.LIVE and begun is not None:
            took = following.at - begun
    return took if took is not None else USUAL


def answers_in(run: Run, now: datetime) -> timedelta:
    """When a run that is being started is likely to answer, from now."""
    begun = run.entered(Stage.TRAINED) if run.stage.before_live else None
    return min(max(start_took(run) - (now - (begun or now)), LEAST), LONGEST)
