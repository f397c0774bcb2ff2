"""Log records as JSON lines on standard error: the host's own, and the app's with their extra fields."""

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

_STANDARD_FIELDS = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, invocation, then the extra fields."""

    def __init__(self, current_invocation: Callable[[], str | None]) -> None:
        """Ask a function which invocation a record belongs to."""
        super().__init__()
        self._current_invocation = current_invocation

    def format(self, record: logging.LogRecord) -> str:
        """Render the record; an exception becomes one field, so that a record stays one line."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (invocation_id := self._current_invocation()) is not None:
            fields["invocation_id"] = invocation_id
        fields |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str, ensure_ascii=False)


_HANDLER = logging.StreamHandler(sys.stderr)


def configure_logging(current_invocation: Callable[[], str | None] = lambda: None) -> None:
    """Send every record to standard error as a JSON line, beside whatever handlers the worker has added."""
    _HANDLER.setFormatter(JsonLines(current_invocation))
    logging.getLogger().addHandler(_HANDLER)
    logging.getLogger().setLevel(logging.INFO)
    # The SDKs write each request and its headers at INFO: noise, and more than a log should keep.
    for chatty in ("azure", "urllib3", "httpx", "httpcore", "asyncio", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def adopt_server_logs() -> None:
    """Take away the handlers and levels that the worker's HTTP server has given its loggers."""
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(logging.WARNING)
