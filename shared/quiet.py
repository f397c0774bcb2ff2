"""Imported before anything else: from then on libraries log warnings alone.

The Functions worker has started its exporter by then, on the root logger and at INFO. What libraries log
below WARNING nobody reads, and the exporter is one of them: exported like any other line, the lines that it
writes for each of its requests make the next request, without end.
"""

from __future__ import annotations

import logging

LIBRARIES = (
    "aiohttp",
    "asyncio",
    "azure",
    "httpx",
    "msal",
    "msrest",
    "opentelemetry",
    "requests",
    "urllib3",
    "uvicorn",  # serves HTTP inside the worker
    # The Functions worker's own, which have levels of their own: two lines for each invocation.
    "azure.functions",
    "azure_functions_worker",
    "proxy_worker",
)
LIVE_METRICS = "azure.monitor.opentelemetry.exporter._quickpulse"
"""Pings for the portal's live view. One that fails costs nothing but the view, and is repeated anyway."""

ACCESS_LOG = "uvicorn.access"
"""The worker's own HTTP server: one line for each request, with its query, where keys may be (`?code=`)."""


def quiet_libraries() -> None:
    """Raise the libraries' loggers to WARNING, whatever level they were given before."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(LIVE_METRICS).setLevel(logging.CRITICAL)
    # The server sets the level when it starts, which is later, and leaves filters alone.
    logging.getLogger(ACCESS_LOG).addFilter(_drop)


def _drop(_record: logging.LogRecord) -> bool:
    return False


quiet_libraries()
