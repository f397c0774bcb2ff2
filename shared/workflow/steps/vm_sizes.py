"""Move a run to another VM size of its list, with the reason on its record."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shared.domain.backoff import backoff
from shared.domain.run.parts import Failure, SizeChange
from shared.domain.run.run import Run
from shared.domain.training.capacity import Choice


def after_choice(run: Run, training: Choice, serving: Choice, now: datetime) -> Run:
    """Put on record which sizes were chosen, and why not those before them."""
    options, changes = run.options, list(run.size_changes)
    for option, choice in (("compute_size", training), ("instance_type", serving)):
        for size, reason in choice.passed_over:
            if size != choice.size:
                changes.append(
                    SizeChange(option=option, before=size, after=choice.size, reason=reason, at=now)
                )
    own = (options.instance_type, *options.other_instance_types)
    chosen = msgspec.structs.replace(
        options,
        instance_type=serving.size,
        other_instance_types=tuple(size for size in own if size != serving.size),
    )
    return msgspec.structs.replace(run, options=chosen, size_changes=tuple(changes))


def train_elsewhere(run: Run, reason: str, now: datetime) -> Run | None:
    """The run with the next size to train on, which is to be planned anew; None if there is no other."""
    assert run.plan is not None
    rest = run.options.compute_sizes_besides(run.plan.compute_size)
    if not rest:
        return None
    change = SizeChange(
        option="compute_size", before=run.plan.compute_size, after=rest[0], reason=reason, at=now
    )
    options = msgspec.structs.replace(run.options, compute_size=rest[0], other_compute_sizes=rest[1:])
    return msgspec.structs.replace(run, options=options, plan=None, size_changes=(*run.size_changes, change))


def serve_elsewhere(run: Run, code: str, reason: str, now: datetime) -> Run | None:
    """The run with the next size for its deployment; None if there is no other.

    The sizes are tried in turn, at once one after the other, and all of them again after a growing pause.
    """
    others = run.options.other_instance_types
    if not others:
        return None
    left = run.options.instance_type
    options = msgspec.structs.replace(
        run.options, instance_type=others[0], other_instance_types=(*others[1:], left)
    )
    changes = run.size_changes
    if run.sizes_refused <= len(others):
        # The first round has each size's reason; later ones would repeat it.
        change = SizeChange(option="instance_type", before=left, after=others[0], reason=reason, at=now)
        changes = (*changes, change)
    refused = run.sizes_refused + 1
    whole_round = refused % (1 + len(others)) == 0
    failure = Failure(code=code, message=reason, stage=run.stage, at=now)
    return msgspec.structs.replace(
        run,
        options=options,
        size_changes=changes,
        sizes_refused=refused,
        last_fault=failure,
        rebuilds=run.rebuilds + whole_round,
        rebuild_at=now + backoff(run.rebuilds + 1, 1.0) if whole_round else None,
    )
