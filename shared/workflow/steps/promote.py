"""Decide whether a candidate takes its dataset's name, and switch the name if it does."""

from __future__ import annotations

import msgspec

from shared.domain.run.current_model import BY_POLICY, Switch, SwitchKind, decide_promotion
from shared.domain.run.run import Run
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.current_model import history_of, holder_of

_log = get_logger(__name__)


def promote(run: Run, services: Services) -> Run:
    """Give the dataset's name to the run, or not; whatever is decided is on the record.

    If another model took the name since the evaluation, the candidate is compared with that one first.

    Returns:
        The run with its promotion; without it, if somebody switched the name just now.

    Raises:
        CorruptRunError: If the dataset's history cannot be read.
        TransientServiceError: If storage could not be reached.
    """
    now = services.now()
    history, etag = history_of(run.dataset, services)
    current = holder_of(history, services, but=run.run_id)
    found = current.run_id if current is not None else None
    evaluation = run.evaluation
    if evaluation is not None and run.options.promotion == "if_not_worse" and evaluation.against != found:
        _log.info("another model took the name meanwhile", extra={"run_id": run.run_id, "current": found})
        again = msgspec.structs.replace(evaluation, against=found, ended=None, comparison=None)
        return msgspec.structs.replace(run, evaluation=again)
    comparison = evaluation.comparison if evaluation is not None else None
    decided = decide_promotion(run.options.promotion, found, comparison, now)
    switched = history
    # If it is there already, the worker that died after writing it was at this very step.
    if decided.promoted and not history.was_promoted_by_policy(run.run_id):
        switched = history.with_switch(
            Switch(
                kind=SwitchKind.PROMOTED,
                run_id=run.run_id,
                previous=found,
                at=now,
                by=BY_POLICY,
                why=decided.why,
            )
        )
    if (etag is None or switched != history) and not services.current_models.replace(switched, etag):
        return run
    _log.info("promotion decided", extra={"run_id": run.run_id, "promoted": decided.promoted})
    return msgspec.structs.replace(run, promotion=decided)
