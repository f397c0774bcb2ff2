"""Carry a run as far as it will go: observe, decide, apply, save, until it has to wait.

All progress of every run happens here, whoever asks for it: the upload, the timer's queue message, or
a caller's request. Whatever was done is saved before the next thing is begun, and every step finds its
own work done, so that a process may die between any two lines.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from shared.config import Settings
from shared.domain.backoff import backoff
from shared.domain.errors import FinetuneError, RunBusyError, TransientServiceError
from shared.domain.run.advance_message import AdvanceMessage
from shared.domain.run.decide import decide, repeat_at
from shared.domain.run.decision import COSTLY, Decision, Do, Enter, Step, Wait, operation_of
from shared.domain.run.endings import after_fault
from shared.domain.run.fault_policy import Operation, Outcome, fault_kind, outcome_of, phase_of
from shared.domain.run.index import MANY_FAILURES
from shared.domain.run.job_status import JobState
from shared.domain.run.observation import Observation, note
from shared.domain.run.parts import EndpointRecord, Failure, StartRequest
from shared.domain.run.run import WITHOUT_FAULT, Run, enter, restart
from shared.domain.run.slot_kind import SlotKind, SlotRequest
from shared.domain.run.stages import Stage
from shared.logs import get_logger
from shared.ports import Services, StoredRun
from shared.workflow.notifications import enqueue_stage_changes
from shared.workflow.observe import observe
from shared.workflow.save_progress import save_progress
from shared.workflow.slots import pass_on_slots, release_slot
from shared.workflow.steps.deploy_model import serving_of
from shared.workflow.steps.table import carry_out

_log = get_logger(__name__)

TIMER_PERIOD = timedelta(minutes=1)
"""How often the timer looks for due runs, by the default of ADVANCE_SCHEDULE."""


def advance_run(
    run_id: str, *, settings: Settings, services: Services, only_due: datetime | None = None
) -> Run | None:
    """Advance one run.

    A run that backs off after a fault is left alone until it is due; a caller's request makes it due. One
    that is due again within a minute, which is sooner than the timer comes, queues a message for then.

    Args:
        run_id: The run.
        settings: The app's settings.
        services: The ports.
        only_due: Leave the run as it is unless it is due at this very time: somebody has advanced it since.

    Returns:
        The run as saved last; None if another worker holds it, which then sees the newest requests itself.

    Raises:
        UnknownRunError: If there is no such run.
        CorruptRunError: If its record cannot be read.
        TransientServiceError: If storage itself could not be reached; the host tries again.
    """
    try:
        with services.run_lock.acquire(run_id):
            stored = services.runs.load(run_id)
            if only_due is not None and stored.run.due != only_due:
                return stored.run
            with services.telemetry.span("advance", stored.run):
                run = _advance(stored, settings, services)
    except RunBusyError:
        _log.info("another worker advances the run", extra={"run_id": run_id})
        return None
    # Without the lock: the message of a caller that asks for something now finds the run free.
    if run.due != stored.run.due:
        _queue_for_later(run, services)
    pass_on_slots(stored.run, run, settings, services)
    return run


def _queue_for_later(run: Run, services: Services) -> None:
    if run.at_rest or run.due is None:
        return
    delay = max(run.due - services.now(), timedelta())
    if delay >= TIMER_PERIOD:
        return
    try:
        message, ahead = str(AdvanceMessage(run.run_id, run.due)), run.stage is Stage.DELETING
        services.advance_queue.enqueue(message, delay=delay, ahead=ahead)
    except FinetuneError as fault:
        # The timer finds the run, if later.
        _log.warning("a run is left to the timer", extra={"run_id": run.run_id, "code": fault.code})


def _advance(stored: StoredRun, settings: Settings, services: Services) -> Run:
    done: set[Step] = set()
    if stored.run.failures and stored.run.due is not None and stored.run.due > services.now():
        return stored.run
    while not stored.run.at_rest:
        run, operation = stored.run, Operation.LOOK
        try:
            seen = observe(run, services)
            run = note(run, seen, services.now())
            decision = decide(run, seen, services.now(), settings.limits())
            if isinstance(decision, Do) and decision.step in done:
                decision = Wait(repeat_at(decision.step, services.now(), settings.limits()))
            if isinstance(decision, Do):
                operation = operation_of(decision.step)
            changed = _apply(decision, run, seen, settings, services)
        except FinetuneError as fault:
            decision, changed = _after_fault(run, fault, operation, settings, services)
        except Exception as surprise:  # a teardown goes on whatever it meets
            if run.stage is not Stage.DELETING:
                raise
            # Suspending the run would leave running what the teardown has yet to remove.
            _log.exception("a teardown met an error nobody foresaw", extra={"run_id": run.run_id})
            unforeseen = FinetuneError(str(surprise), code=type(surprise).__name__)
            decision, changed = _after_fault(run, unforeseen, operation, settings, services)
        enqueue_stage_changes(changed, len(run.history), services)
        stored = save_progress(services.runs, stored, changed, yield_to_callers=not isinstance(decision, Do))
        if isinstance(decision, Wait) and stored.run == changed:
            break
        if isinstance(decision, Do) and changed.billable == run.billable:
            done.add(decision.step)
        if isinstance(decision, Enter):
            done.clear()
    return stored.run


def _apply(decision: Decision, run: Run, seen: Observation, settings: Settings, services: Services) -> Run:
    if seen.job is not None and seen.job.state is JobState.UNKNOWN:
        _log.warning("unknown job status", extra={"run_id": run.run_id, "status": seen.job.status})
    match decision:
        case Wait(until, attention):
            if run.failures and run.slot is not None and not run.slot.acquired:
                # Waiting for its turn again is no success.
                return msgspec.structs.replace(run, due=until)
            return msgspec.structs.replace(run, due=until, **{**WITHOUT_FAULT, "attention": attention})
        case Enter(Stage.TRAINED | Stage.TRAINING as stage) if (start := run.start_request) is not None:
            _report_stage(run, stage, services)
            return restart(run, start, services.now())
        case Enter(Stage.TRAINED) if run.stage is Stage.STOPPED:
            _report_stage(run, Stage.TRAINED, services)
            return restart(run, StartRequest(at=services.now(), after=len(run.history)), services.now())
        case Enter(stage, error, outcome, reason):
            if stage is Stage.LIVE:
                run = _with_endpoint(run, seen, settings, services)
            _report_stage(run, stage, services)
            ended = {"outcome": outcome, "end_reason": reason} if outcome or reason else {}
            return enter(msgspec.structs.replace(run, **ended), stage, services.now(), error)
        case Do(step) if step in COSTLY and not run.billable:
            # The intent goes on record before anything that costs money is asked for.
            return msgspec.structs.replace(run, billable=True)
        case Do(step):
            _log.info("step begins", extra={"run_id": run.run_id, "step": step.value})
            with services.telemetry.span(step.value, run):
                changed = carry_out(step, run, seen, settings, services)
            if step is Step.ACQUIRE_SLOT:
                return msgspec.structs.replace(changed, due=services.now())
            return msgspec.structs.replace(changed, due=services.now(), **WITHOUT_FAULT)


def _report_stage(run: Run, stage: Stage, services: Services) -> None:
    _log.info("run enters a stage", extra={"run_id": run.run_id, "stage": stage.value})
    seconds = (services.now() - run.history[-1].at).total_seconds()
    services.telemetry.entered(stage, run.stage, seconds)


def _with_endpoint(run: Run, seen: Observation, settings: Settings, services: Services) -> Run:
    now = services.now()
    assert run.serving is not None
    assert run.serving.route is not None, "the smoke test settles the route"
    facts = EndpointRecord(
        name=run.endpoint_name,
        scoring_uri=(seen.endpoint.scoring_uri if seen.endpoint else None) or "",
        auth_mode=settings.endpoint_auth_mode,
        serving=serving_of(run, settings.serving_options(run.options), run.serving.route),
        live_since=now,
        expires_at=now + timedelta(hours=run.options.lifetime_hours),
        public=seen.endpoint is None or seen.endpoint.public,
    )
    return msgspec.structs.replace(run, endpoint=facts)


def _after_fault(
    run: Run, fault: FinetuneError, operation: Operation, settings: Settings, services: Services
) -> tuple[Decision, Run]:
    now = services.now()
    failure = Failure(code=fault.code, message=fault.message, stage=run.stage, at=now)
    outcome = outcome_of(fault_kind(fault), operation, phase_of(run))
    same = run.last_fault is not None and run.last_fault.code == fault.code
    faulty = msgspec.structs.replace(
        run,
        failures=run.failures + 1,
        faulty_since=run.faulty_since or now,
        refused_since=((run.refused_since if same else None) or now) if outcome is Outcome.PROVE else None,
        last_fault=failure,
    )
    asked = fault.retry_after if isinstance(fault, TransientServiceError) else None
    retry_at = now + backoff(faulty.failures, services.jitter(), asked)
    decision = after_fault(faulty, failure, outcome, retry_at=retry_at, now=now, limits=settings.limits())
    _log.warning(
        "run met a fault",
        extra={
            "run_id": run.run_id,
            "stage": run.stage.value,
            "code": fault.code,
            "operation": operation.value,
            "outcome": outcome.value,
            "failures": faulty.failures,
        },
    )
    services.telemetry.met_fault(run.stage, fault.code, retried=isinstance(decision, Wait))
    if isinstance(decision, Wait):
        faulty = _without_unused_slot(faulty, services)
        return decision, msgspec.structs.replace(faulty, due=decision.until, attention=decision.attention)
    _report_stage(run, decision.stage, services)
    ended = msgspec.structs.replace(faulty, outcome=decision.outcome, end_reason=decision.reason)
    return decision, enter(ended, decision.stage, now, decision.error)


def _without_unused_slot(run: Run, services: Services) -> Run:
    """Give back the slot of a run whose submission keeps failing: others may have more luck meanwhile."""
    unused = run.stage is Stage.VALIDATED and run.job is None and run.job_submitted_at is None
    if not (unused and run.failures >= MANY_FAILURES and run.holds_slot(SlotKind.TRAINING)):
        return run
    try:
        if not release_slot(run, SlotKind.TRAINING, services):
            return run
    except FinetuneError:
        # It is given back after the next fault.
        return run
    return msgspec.structs.replace(
        run, slot=SlotRequest(kind=SlotKind.TRAINING, acquired=False, at=services.now())
    )
