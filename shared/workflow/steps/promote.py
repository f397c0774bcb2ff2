"""Decide whether a candidate takes its dataset's name, and switch the name if it does."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

import msgspec

from shared.config import Settings
from shared.domain.errors import CorruptRunError
from shared.domain.run.current_model import (
    BY_POLICY,
    Canary,
    Promotion,
    Switch,
    SwitchKind,
    decide_promotion,
)
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.current_model import history_of, holder_of

ALL = 100
"""Percent."""

_log = get_logger(__name__)


def promote(run: Run, settings: Settings, services: Services) -> Run:
    """Give the dataset's name to the run, or not; whatever is decided is on the record.

    If another model took the name since the evaluation, the candidate is compared with that one first.

    Returns:
        The run with its promotion; without it, if somebody switched the name just now.

    Raises:
        TransientServiceError: If storage could not be reached.
    """
    if run.promotion is not None and run.promotion.next_at is not None:
        return _raised(run, settings, services)
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
    switched, first = history, settings.promotion_traffic[0]
    if decided.promoted and first < ALL and current is not None and current.stage is Stage.LIVE:
        canary = Canary(run_id=run.run_id, share=first, since=now, why=decided.why)
        if not services.current_models.replace(msgspec.structs.replace(history, canary=canary), etag):
            return run
        return msgspec.structs.replace(run, promotion=_sharing(canary, settings))
    # If it is there already, the worker that died after writing it was at this very step.
    if decided.promoted and not history.was_promoted_by_policy(run.run_id):
        switched = history.with_switch(_switch(run, current, BY_POLICY, decided.why, now))
    if (etag is None or switched != history) and not services.current_models.replace(switched, etag):
        return run
    _log.info("promotion decided", extra={"run_id": run.run_id, "promoted": decided.promoted})
    if decided.waits:
        decided = msgspec.structs.replace(decided, key=secrets.token_hex(32))
    return msgspec.structs.replace(run, promotion=decided)


def _switch(run: Run, current: Run | None, by: str, why: str, now: datetime) -> Switch:
    """The run takes the name from the one that has it."""
    previous = current.run_id if current is not None else None
    return Switch(kind=SwitchKind.PROMOTED, run_id=run.run_id, previous=previous, at=now, by=by, why=why)


def _sharing(canary: Canary, settings: Settings) -> Promotion:
    """The record of a canary that has its share until the next step."""
    return Promotion(
        promoted=False,
        why=f"gets {canary.share} % of the requests: {canary.why}",
        at=canary.since,
        next_at=canary.since + timedelta(minutes=settings.promotion_step_minutes),
    )


def _raised(run: Run, settings: Settings, services: Services) -> Run:
    """Raise a canary's share; the last step gives it the name."""
    now = services.now()
    history, etag = history_of(run.dataset, services)
    canary = history.canary
    if canary is None or canary.run_id != run.run_id:
        promoted = history.stack[:1] == (run.run_id,)
        gone = history.why_withdrawn(run.run_id) or "another model took its place"
        why = history.history[-1].why if promoted else f"lost its share of the requests: {gone}"
        return msgspec.structs.replace(run, promotion=Promotion(promoted=promoted, why=why, at=now))
    if now < canary.since + timedelta(minutes=settings.promotion_step_minutes):
        # The worker that died after raising it was at this very step.
        return msgspec.structs.replace(run, promotion=_sharing(canary, settings))
    share = next((step for step in settings.promotion_traffic if step > canary.share), ALL)
    if share < ALL:
        raised = msgspec.structs.replace(canary, share=share, since=now)
        decided = _sharing(raised, settings)
        changed = msgspec.structs.replace(history, canary=raised)
    else:
        decided = Promotion(promoted=True, why=canary.why, at=now)
        current = holder_of(history, services, but=run.run_id)
        changed = history.with_switch(_switch(run, current, BY_POLICY, canary.why, now))
    if not services.current_models.replace(changed, etag):
        return run
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
            switch = _switch(run, current, answer.by, "approved by the link", services.now())
            if not services.current_models.replace(history.with_switch(switch), etag):
                return run
    decided = msgspec.structs.replace(promotion, promoted=accepted, why=why, at=services.now(), waits=False)
    return msgspec.structs.replace(run, promotion=decided)
