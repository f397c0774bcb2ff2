"""Handle a message of the queue `advance`."""

from __future__ import annotations

from datetime import timedelta

from shared.config import Settings
from shared.domain.errors import FinetuneError, NewerRecordError, UnknownRunError
from shared.domain.run.advance_message import read_message
from shared.domain.sanitize import plain_text
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.advance import advance_run

MAX_DELIVERIES = 5
"""Deliveries after which the host moves a message to the poison queue: `maxDequeueCount` in host.json."""

SUSPENDED_FOR = timedelta(hours=1)
"""How long the timer leaves a suspended run alone."""

NEVER_FINISHED = "each attempt to advance the run ended with its worker's death"

_log = get_logger(__name__)


def handle_advance_message(text: str, *, delivery: int, settings: Settings, services: Services) -> None:
    """Advance the run that a message names.

    A run that fails even at its message's last delivery is suspended: the message goes to the poison queue,
    the timer leaves the run alone for an hour, and `POST /api/runs/{id}/retry` brings it back at once. A
    busy service is no such failure.

    Args:
        text: The message, see `AdvanceMessage`. Anything else is dropped with a log line.
        delivery: 1 for the first time that the message is delivered.
        settings: The app's settings.
        services: The ports.
    """
    message = read_message(text)
    if message is None:
        _log.warning("message dropped: it names no run", extra={"characters": len(text)})
        return
    run_id = message.run_id
    last = delivery >= MAX_DELIVERIES
    try:
        if last:
            # A worker that dies now cannot suspend the run.
            services.runs.suspend(run_id, NEVER_FINISHED, until=services.now() + SUSPENDED_FOR)
        advance_run(run_id, only_due=message.due, settings=settings, services=services)
    except NewerRecordError as fault:
        # Whoever wrote it may be at work beside this version; where the index does not say so, it is marked.
        services.runs.suspend(run_id, fault.message, until=services.now() + SUSPENDED_FOR)
        _log.error("message dropped: its run is of a newer version of the app", extra={"run_id": run_id})
        return
    except UnknownRunError:
        _log.warning("message dropped: its run does not exist", extra={"run_id": run_id})
        return
    except Exception as fault:  # whatever it is, it is raised again
        if last:
            _after_last_delivery(run_id, fault, services)
        raise
    if last:
        services.runs.resume(run_id)


def _after_last_delivery(run_id: str, fault: Exception, services: Services) -> None:
    if isinstance(fault, FinetuneError) and fault.retryable:
        services.runs.resume(run_id)
        return
    reason = plain_text(f"{type(fault).__name__}: {fault}")
    services.runs.suspend(run_id, reason, until=services.now() + SUSPENDED_FOR)
    _log.error("run suspended", exc_info=fault, extra={"run_id": run_id, "deliveries": MAX_DELIVERIES})
