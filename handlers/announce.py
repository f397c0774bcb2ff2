"""Stage changes become news: put down while a run advances, read out from the queue.

Nothing here holds a run up. What cannot be put down or delivered is logged, and the run goes on.
"""

from __future__ import annotations

import msgspec

from shared.config import Settings
from shared.domain.errors import (
    CorruptRunError,
    FinetuneError,
    ServiceRefusedError,
    TransientServiceError,
    UnknownRunError,
)
from shared.domain.names import is_run_id
from shared.domain.news import (
    ATTEMPTS,
    ATTEMPTS_WITHOUT_RECORD,
    Notice,
    StageNews,
    delay_before,
    render,
    sign,
    stage_news,
)
from shared.domain.run import Run
from shared.logs import get_logger
from shared.ports import Services

_log = get_logger(__name__)


def note_stages(run: Run, since: int, services: Services) -> None:
    """Put down that a run enters stages, before the record that says so is written.

    Args:
        run: The record that is about to be written.
        since: How many entries of its history are on record already.
        services: The ports.
    """
    for index in range(since, len(run.history)):
        try:
            services.news.put_down(Notice(run_id=run.run_id, index=index), delay=delay_before(0))
        except FinetuneError as fault:
            extra = {"run_id": run.run_id, "index": index, "code": fault.code}
            _log.warning("a stage change will not be announced", extra=extra)


def announce(text: str, *, settings: Settings, services: Services) -> None:
    """Announce the stage change that a message of the `news` queue names.

    A receiver that does not take it gets it again, for a day, with growing pauses; then it is dropped.

    Args:
        text: The message: a notice. Anything else is dropped with a log line.
        settings: Where to, in which form, and signed with what.
        services: The ports.

    Raises:
        TransientServiceError: If the queue or the record cannot be reached; the host delivers again.
    """
    notice = _read(text)
    if notice is None:
        _log.warning("message dropped: it is no notice", extra={"characters": len(text)})
        return
    extra = {"run_id": notice.run_id, "index": notice.index, "attempt": notice.attempt}
    if settings.webhook_url is None:
        _log.info("news dropped: no webhook is configured", extra=extra)
        return
    news = _look_up(notice, services)
    if news is None:
        _again(notice, ATTEMPTS_WITHOUT_RECORD, None, services)
        return
    try:
        _post(news, notice, settings, services)
    except TransientServiceError as fault:
        _log.warning("news not taken yet", extra={**extra, "code": fault.code, "reason": fault.message})
        _again(notice, ATTEMPTS, fault.retry_after, services)
    except ServiceRefusedError as fault:
        _log.error(
            "news refused by the webhook", extra={**extra, "code": fault.code, "reason": fault.message}
        )


def _read(text: str) -> Notice | None:
    try:
        notice = msgspec.json.decode(text, type=Notice)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return notice if is_run_id(notice.run_id) else None


def _look_up(notice: Notice, services: Services) -> StageNews | None:
    try:
        return stage_news(services.runs.load(notice.run_id).run, notice.index)
    except (UnknownRunError, CorruptRunError, IndexError):
        return None


def _post(news: StageNews, notice: Notice, settings: Settings, services: Services) -> None:
    content_type, body = render(
        news, notice.id, settings.webhook_format, settings.workspace_uri, settings.dashboard_url
    )
    headers = {"Content-Type": content_type}
    if settings.webhook_secret is not None:
        headers |= sign(settings.webhook_secret, notice.id, services.now(), body)
    services.webhook.post(body, headers)


def _again(notice: Notice, most: int, asked: float | None, services: Services) -> None:
    attempt = notice.attempt + 1
    if attempt >= most:
        # An entry that never came about is no news; a receiver that is gone for a day is.
        extra = {"run_id": notice.run_id, "index": notice.index, "attempts": attempt}
        _log.warning("news dropped", extra=extra)
        return
    later = msgspec.structs.replace(notice, attempt=attempt)
    services.news.put_down(later, delay=delay_before(attempt, asked))
