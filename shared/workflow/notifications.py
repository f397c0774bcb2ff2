"""Queue a notification for each stage change, before the record that has it is written."""

from __future__ import annotations

from shared.domain.errors import FinetuneError
from shared.domain.run.notifications import Notification, delay_before
from shared.domain.run.run import Run
from shared.logs import get_logger
from shared.ports import Services

_log = get_logger(__name__)


def enqueue_stage_changes(run: Run, since: int, services: Services) -> None:
    """Queue a notification for each stage that a run enters, before the record is written.

    Args:
        run: The record that is about to be written.
        since: How many entries of its history are on record already.
        services: The ports.
    """
    for index in range(since, len(run.history)):
        try:
            services.notifications.enqueue(
                Notification(run_id=run.run_id, index=index), delay=delay_before(0)
            )
        except FinetuneError as fault:
            extra = {"run_id": run.run_id, "index": index, "code": fault.code}
            _log.warning("a stage change will not be notified", extra=extra)
