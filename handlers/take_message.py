"""Take one message of the `advance` queue."""

from __future__ import annotations

import logging

from handlers.advance_run import advance_run
from shared.config import Settings
from shared.domain.errors import UnknownRunError
from shared.domain.names import is_run_id
from shared.ports import Services

LAST_TRY = 5
"""Deliveries after which the host moves a message to the poison queue: `maxDequeueCount` in host.json."""

_log = logging.getLogger(__name__)


def take_message(text: str, *, delivery: int, settings: Settings, services: Services) -> None:
    """Advance the run that a message names.

    A run that fails even at its message's last delivery is parked: the message goes to the poison queue,
    the timer leaves the run alone, and `POST /api/runs/{id}/retry` brings it back.

    Args:
        text: The message: a run id. Anything else is dropped with a log line.
        delivery: 1 for the first time that the message is delivered.
        settings: The app's settings.
        services: The ports.
    """
    if not is_run_id(text):
        _log.warning("message dropped: it names no run", extra={"characters": len(text)})
        return
    try:
        advance_run(text, settings=settings, services=services)
    except UnknownRunError:
        _log.warning("message dropped: its run does not exist", extra={"run_id": text})
    except Exception as fault:
        if delivery >= LAST_TRY:
            _log.exception("run parked", extra={"run_id": text, "deliveries": delivery})
            services.runs.park(text, f"{type(fault).__name__}: {fault}")
        raise
