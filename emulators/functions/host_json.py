"""`host.json`, and the app settings that override it.

Source: https://learn.microsoft.com/azure/azure-functions/functions-host-json
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from emulators.functions import UnservableAppError

# https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values
OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")


class TimeSpan(float):
    """Seconds, written as a .NET TimeSpan such as `00:00:30` or `1.02:00:00`."""


class Http(msgspec.Struct, frozen=True, rename="camel"):
    """The first path segment of every HTTP function; may be empty."""

    route_prefix: str = "api"


class Blobs(msgspec.Struct, frozen=True, rename="camel"):
    """Blob invocations at once, and deliveries of an event before it goes to the poison queue."""

    max_degree_of_parallelism: int = 8
    poison_blob_threshold: int = 5


class Queues(msgspec.Struct, frozen=True, rename="camel"):
    """How queues are read and written.

    Attributes:
        batch_size: Messages taken in one read.
        new_batch_threshold: The next batch is read once no more than this many are in work; None for half
            a batch.
        max_dequeue_count: Deliveries before a message goes to the poison queue.
        visibility_timeout: Seconds between a failed delivery and the next.
        max_polling_interval: Longest pause between two reads of an empty queue.
        message_encoding: How bodies travel.
    """

    batch_size: Annotated[int, msgspec.Meta(ge=1, le=32)] = 16
    new_batch_threshold: int | None = None
    max_dequeue_count: int = 5
    visibility_timeout: TimeSpan = TimeSpan(0)
    max_polling_interval: TimeSpan = TimeSpan(60)
    message_encoding: Literal["base64", "none"] = "base64"


class Extensions(msgspec.Struct, frozen=True):
    """What the trigger extensions read."""

    http: Http = Http()
    blobs: Blobs = Blobs()
    queues: Queues = Queues()


class HostJson(msgspec.Struct, frozen=True, rename="camel"):
    """What this host reads of the file; an invocation may take `function_timeout` seconds."""

    version: Literal["2.0"]
    function_timeout: TimeSpan = TimeSpan(1_800)
    extensions: Extensions = Extensions()


def read_host_json(path: Path, settings: Mapping[str, str]) -> HostJson:
    """Read `host.json` and apply the `AzureFunctionsJobHost__a__b` settings over it.

    Raises:
        UnservableAppError: The file cannot be used; the message says which value and why.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for name, value in settings.items():
            if name.startswith(OVERRIDE_PREFIX):
                _override(content, name.removeprefix(OVERRIDE_PREFIX).split("__"), value)
        return msgspec.convert(content, HostJson, strict=False, dec_hook=_time_span)
    except (OSError, ValueError) as error:
        raise UnservableAppError(f"{path}: {error}") from error


def _override(content: dict[str, Any], keys: list[str], value: str) -> None:
    *parents, last = keys
    for key in parents:
        content = content.setdefault(key, {})
    content[last] = value


def _time_span(_kind: type, text: object) -> TimeSpan:
    match = TIME_SPAN.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a time span (hh:mm:ss)")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return TimeSpan(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
