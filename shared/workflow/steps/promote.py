"""Decide whether a candidate takes its dataset's name, and switch the name if it does."""

from __future__ import annotations

import secrets

import msgspec

from shared.domain.errors import CorruptRunError
from shared.domain.run.current_model import BY_POLICY, Promotion, Switch, SwitchKind, decide_promotion
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
        TransientServiceError: If storage could not be reached.
    """
    if run.promotion is not None:
        return _answered(run, run.promotion, services)
    now = services.now()
    try:
        history, etag = history_of(run.dataset, services)
    except CorruptRunError as fault:
        # The model is live under its own name; a person has to put the history right.
        return msgspec.structs.replace(run, promotion=Promotion(promoted=False, why=fault.message, at=now))
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
    if decided.waits:
        decided = msgspec.structs.replace(decided, key=secrets.token_hex(32))
    return msgspec.structs.replace(run, promotion=decided)


def _answered(run: Run, promotion: Promotion, services: Services) -> Run:
    """Do what a person has answered."""
    answer = run.requests.approval
    assert answer is not None, "decide asks for this step of a run with a promotion only once it is answered"
    accepted = answer.answer == "yes"
    why = f"{answer.by} {'approved' if accepted else 'declined'}"
    if accepted:
        history, etag = history_of(run.dataset, services)
        done = any(switch.run_id == run.run_id and switch.at >= answer.at for switch in history.history)
        if not done:
            current = holder_of(history, services, but=run.run_id)
            switch = Switch(
                kind=SwitchKind.PROMOTED,
                run_id=run.run_id,
                previous=current.run_id if current is not None else None,
                at=services.now(),
                by=answer.by,
                why="approved by the link",
            )
            if not services.current_models.replace(history.with_switch(switch), etag):
                return run
    decided = msgspec.structs.replace(promotion, promoted=accepted, why=why, at=services.now(), waits=False)
    return msgspec.structs.replace(run, promotion=decided)
