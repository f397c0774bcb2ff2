"""Deliver a queued notification to the webhook: of a stage change, or of an upload that opens no run."""

from __future__ import annotations

import msgspec

from shared.config import Settings
from shared.domain.errors import (
    CorruptRunError,
    ServiceRefusedError,
    TransientServiceError,
    UnknownRunError,
)
from shared.domain.run.message_formats import Message, ignored_message, render, stage_message
from shared.domain.run.names import is_run_id
from shared.domain.run.notifications import (
    ATTEMPTS,
    ATTEMPTS_WITHOUT_RECORD,
    IgnoredNotification,
    Notification,
    delay_before,
    sign,
    stage_change,
)
from shared.logs import get_logger
from shared.ports import Services

_log = get_logger(__name__)


def deliver_notification(text: str, *, settings: Settings, services: Services) -> None:
    """Deliver what a message of the queue `notifications` names.

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
    extra = {**notification.fields, "attempt": notification.attempt}
    if settings.webhook_url is None:
        _log.info("notification dropped: no webhook is configured", extra=extra)
        return
    message = _look_up(notification, settings, services)
    if message is None:
        _again(notification, ATTEMPTS_WITHOUT_RECORD, None, services)
        return
    try:
        _post(message, notification, settings, services)
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


def _read(text: str) -> Notification | IgnoredNotification | None:
    try:
        notification = msgspec.json.decode(text, type=Notification | IgnoredNotification)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if isinstance(notification, Notification) and not is_run_id(notification.run_id):
        return None
    return notification


def _look_up(
    notification: Notification | IgnoredNotification, settings: Settings, services: Services
) -> Message | None:
    if isinstance(notification, IgnoredNotification):
        kept = services.ignored_uploads.entries()
        return next((ignored_message(one) for one in kept if one.id == notification.upload), None)
    try:
        run = services.runs.load(notification.run_id).run
        return stage_message(stage_change(run, notification.index, settings.dashboard_url))
    except (UnknownRunError, CorruptRunError, IndexError):
        return None


def _post(
    message: Message,
    notification: Notification | IgnoredNotification,
    settings: Settings,
    services: Services,
) -> None:
    content_type, body = render(
        message, notification.id, settings.webhook_format, settings.workspace_uri, settings.dashboard_url
    )
    headers = {"Content-Type": content_type}
    if settings.webhook_secret is not None:
        headers |= sign(settings.webhook_secret, notification.id, services.now(), body)
    services.webhook.post(body, headers)


def _again(
    notification: Notification | IgnoredNotification, most: int, asked: float | None, services: Services
) -> None:
    attempt = notification.attempt + 1
    if attempt >= most:
        # An entry that never came about, or is gone by now, is no loss; a receiver that is gone for a day is.
        extra = {**notification.fields, "attempts": attempt}
        _log.warning("notification dropped", extra=extra)
        return
    later = msgspec.structs.replace(notification, attempt=attempt)
    services.notifications.enqueue(later, delay=delay_before(attempt, asked))
