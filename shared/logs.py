"""Logging: lines that name their run and code in their text, and libraries that say only what went wrong."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

from shared.domain.errors import FinetuneError

LIBRARIES = (
    "aiohttp",
    "asyncio",
    "azure",
    "httpx",
    "mlflow",
    "msal",
    "msrest",
    "opentelemetry",
    "requests",
    "urllib3",
    # The Functions worker's own, which have levels of their own: two lines for each invocation.
    "azure.functions",
    "azure_functions_worker",
    "proxy_worker",
)
"""Loggers that write below WARNING what nobody reads, and `azure` each request of its exporter, too: exported
like any other line, such a line makes the next export, without end."""

LIVE_METRICS = "azure.monitor.opentelemetry.exporter._quickpulse"
"""Pings for the portal's live view. One that fails costs nothing but the view, and is repeated anyway."""

TEXT_CHARACTERS = 200


def quiet_libraries() -> None:
    """Keep what libraries log below WARNING out of the log, and so out of what is exported."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(LIVE_METRICS).setLevel(logging.CRITICAL)


def get_logger(name: str) -> logging.LoggerAdapter[logging.Logger]:
    """Open a logger whose lines carry their `extra` fields twice: as fields, and as `name=value` in the text.

    Fields reach Application Insights, but not the host's log stream, to which the worker sends text alone.
    An exception that is logged adds its `code`.
    """
    return _FieldsInText(logging.getLogger(name))


class _FieldsInText(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Append the fields to the message."""
        fields = dict(kwargs.get("extra") or {})
        fault = _exception(kwargs.get("exc_info"))
        if fault is not None:
            fields.setdefault(
                "code", fault.code if isinstance(fault, FinetuneError) else type(fault).__name__
            )
        text = " ".join([str(msg), *(f"{name}={_text(value)}" for name, value in fields.items())])
        return text, {**kwargs, "extra": fields}


def _exception(exc_info: Any) -> BaseException | None:
    """The exception that `exc_info` means, in each form that `logging` takes."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        found = exc_info[1]
        return found if isinstance(found, BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _text(value: object) -> str:
    """A value that stays one word of one line: quoted where it has spaces or anything unprintable."""
    text = str(value)[:TEXT_CHARACTERS]
    if text and text.isprintable() and not set(text) & set(' "='):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
