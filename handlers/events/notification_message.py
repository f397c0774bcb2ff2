"""Deliver a queued notification of a stage change to the webhook."""

from __future__ import annotations

import msgspec

from shared.config import Settings
from shared.domain.errors import (
    CorruptRunError,
    ServiceRefusedError,
    TransientServiceError,
    UnknownRunError,
)
from shared.domain.run.names import is_run_id
from shared.domain.run.notifications import (
    ATTEMPTS,
    ATTEMPTS_WITHOUT_RECORD,
    Notification,
    StageChange,
    delay_before,
    render,
    sign,
    stage_change,
)
from shared.logs import get_logger
from shared.ports import Services

_log = get_logger(__name__)


def deliver_notification(text: str, *, settings: Settings, services: Services) -> None:
    """Deliver the stage change that a message of the queue `notifications` names.

    A receiver that does not take it gets it again, for a day, with growing pauses; then it is dropped.

    Args:
        text: The message: a notification. Anything else is dropped with a log line.
        settings: Where to, in which form, and signed with what.
        services: The ports.

    Raises:
        TransientServiceError: If the queue or the record cannot be reached; the host delivers again.
    """
    notification = _read(text)
    if notification is None:
        _log.warning("message dropped: it is no notification", extra={"characters": len(text)})
        return
    extra = {"run_id": notification.run_id, "index": notification.index, "attempt": notification.attempt}
    if settings.webhook_url is None:
        _log.info("notification dropped: no webhook is configured", extra=extra)
        return
    change = _look_up(notification, services)
    if change is None:
        _again(notification, ATTEMPTS_WITHOUT_RECORD, None, services)
        return
    try:
        _post(change, notification, settings, services)
    except TransientServiceError as fault:
        _log.warning(
            "notification not accepted yet", extra={**extra, "code": fault.code, "reason": fault.message}
        )
        _again(notification, ATTEMPTS, fault.retry_after, services)
    except ServiceRefusedError as fault:
        _log.error(
            "notification refused by the webhook",
            extra={**extra, "code": fault.code, "reason": fault.message},
        )


def _read(text: str) -> Notification | None:
    try:
        notification = msgspec.json.decode(text, type=Notification)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return notification if is_run_id(notification.run_id) else None


def _look_up(notification: Notification, services: Services) -> StageChange | None:
    try:
        return stage_change(services.runs.load(notification.run_id).run, notification.index)
    except (UnknownRunError, CorruptRunError, IndexError):
        return None


def _post(change: StageChange, notification: Notification, settings: Settings, services: Services) -> None:
    content_type, body = render(
        change, notification.id, settings.webhook_format, settings.workspace_uri, settings.dashboard_url
    )
    headers = {"Content-Type": content_type}
    if settings.webhook_secret is not None:
        headers |= sign(settings.webhook_secret, notification.id, services.now(), body)
    services.webhook.post(body, headers)


def _again(notification: Notification, most: int, asked: float | None, services: Services) -> None:
    attempt = notification.attempt + 1
    if attempt >= most:
        # An entry that never came about is no change; a receiver that is gone for a day is.
        extra = {"run_id": notification.run_id, "index": notification.index, "attempts": attempt}
        _log.warning("notification dropped", extra=extra)
        return
    later = msgspec.structs.replace(notification, attempt=attempt)
    services.notifications.enqueue(later, delay=delay_before(attempt, asked))
