"""`host.json`, and the app settings that override it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values
OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
TIME_SPAN = re.compile(r"(?:(?P<days>\d+)\.)?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+(?:\.\d+)?)")

LEVELS = {
    "trace": "DEBUG",
    "debug": "DEBUG",
    "information": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "critical": "CRITICAL",
    "none": "CRITICAL",
}


class HostJsonError(ValueError):
    """`host.json` is missing, is not JSON, or holds a value of the wrong form; the message names it."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How queues are read and written.

    Source: https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json

    Attributes:
        batch_size: Messages taken in one read.
        new_batch_threshold: The next batch is read once no more than this many are in work.
        max_dequeue_count: Deliveries before a message goes to the poison queue.
        visibility_timeout: Seconds between a failed delivery and the next.
        max_polling_interval: Longest pause between two reads of an empty queue, in seconds.
        base64: Whether message bodies travel base64-encoded.
    """

    batch_size: int
    new_batch_threshold: int
    max_dequeue_count: int
    visibility_timeout: float
    max_polling_interval: float
    base64: bool


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What this host takes from `host.json`.

    Attributes:
        route_prefix: First path segment of every HTTP function, without slashes; may be empty.
        function_timeout: Seconds an invocation may take; None for no limit.
        blob_parallelism: Blob invocations at once.
        poison_blob_threshold: Deliveries of one blob event before it goes to the poison queue.
        queues: The storage queue settings.
        log_level: Level of the app's own logging, as `logging` names it.
    """

    route_prefix: str
    function_timeout: float | None
    blob_parallelism: int
    poison_blob_threshold: int
    queues: QueueSettings
    log_level: str


def read_host_json(path: Path, environment: Mapping[str, str]) -> HostSettings:
    """Read `host.json` and apply the `AzureFunctionsJobHost__a__b` settings over it.

    Raises:
        HostJsonError: The file cannot be used; the message says which value and why.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HostJsonError(f"{path} does not exist: is this the folder of a function app?") from error
    except ValueError as error:
        raise HostJsonError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("version") != "2.0":
        raise HostJsonError(f'{path} must be an object with "version": "2.0"')
    for name, value in environment.items():
        if name.startswith(OVERRIDE_PREFIX):
            _override(content, name.removeprefix(OVERRIDE_PREFIX).split("__"), value)
    try:
        return _settings(content)
    except (TypeError, ValueError, AttributeError) as error:
        raise HostJsonError(f"{path}: {error}") from error


def parse_time_span(text: str) -> float:
    """Seconds in a .NET TimeSpan such as `00:00:30` or `1.02:00:00`.

    Raises:
        ValueError: It is not one.
    """
    match = TIME_SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time span (hh:mm:ss)")
    days, hours, minutes = (int(match[part] or 0) for part in ("days", "hours", "minutes"))
    return days * 86_400 + hours * 3_600 + minutes * 60 + float(match["seconds"])


def _override(content: dict[str, Any], keys: list[str], value: str) -> None:
    *parents, last = keys
    for key in parents:
        content = content.setdefault(key, {})
    content[last] = value


def _settings(content: dict[str, Any]) -> HostSettings:
    extensions = content.get("extensions", {})
    blobs = extensions.get("blobs", {})
    timeout = str(content.get("functionTimeout", "00:30:00"))
    level = str(content.get("logging", {}).get("logLevel", {}).get("default", "Information"))
    return HostSettings(
        route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")).strip("/"),
        function_timeout=None if timeout == "-1" else parse_time_span(timeout),
        blob_parallelism=int(blobs.get("maxDegreeOfParallelism", 8)),
        poison_blob_threshold=int(blobs.get("poisonBlobThreshold", 5)),
        queues=_queues(extensions.get("queues", {})),
        log_level=_one_of("logLevel", level.lower(), LEVELS),
    )


def _queues(queues: dict[str, Any]) -> QueueSettings:
    batch_size = int(queues.get("batchSize", 16))
    if not 1 <= batch_size <= 32:
        raise ValueError(f"batchSize is {batch_size}; storage queues allow 1 to 32")
    encoding = str(queues.get("messageEncoding", "base64"))
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=int(queues.get("newBatchThreshold", batch_size // 2)),
        max_dequeue_count=int(queues.get("maxDequeueCount", 5)),
        visibility_timeout=parse_time_span(str(queues.get("visibilityTimeout", "00:00:00"))),
        max_polling_interval=parse_time_span(str(queues.get("maxPollingInterval", "00:01:00"))),
        base64=_one_of("messageEncoding", encoding, {"base64": True, "none": False}),
    )


def _one_of(name: str, value: str, values: Mapping[str, Any]) -> Any:
    if value not in values:
        raise ValueError(f"{name} is {value!r}, not one of {', '.join(values)}")
    return values[value]
