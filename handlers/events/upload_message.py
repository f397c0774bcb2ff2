"""Handle a message of the queue `uploads`: look at an upload again that was not whole yet."""

from __future__ import annotations

import msgspec

from shared.config import Settings
from shared.domain.run.uploads import UploadCheck
from shared.logs import get_logger
from shared.ports import Services
from shared.workflow.open_run import take_upload

_log = get_logger(__name__)


def handle_upload_message(text: str, *, container: str, settings: Settings, services: Services) -> list[str]:
    """Open the run of an upload that is whole by now; see `take_upload`.

    Args:
        text: The message: an `UploadCheck`. Anything else is dropped with a log line.
        container: The uploads container's name.
        settings: The app's settings.
        services: The ports.

    Returns:
        The runs to advance.
    """
    try:
        check = msgspec.json.decode(text, type=UploadCheck)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        _log.warning("message dropped: it names no upload", extra={"characters": len(text)})
        return []
    return take_upload(
        check.path, container=container, settings=settings, services=services, attempt=check.attempt
    )
