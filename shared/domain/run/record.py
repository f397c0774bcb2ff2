"""Read a run's record, and reject a damaged or manipulated one as corrupt.

Names on a record become parts of addresses. They are checked here, so that no record leads out of its
container or workspace. So are times, which are reckoned with everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from shared.domain.errors import CorruptRunError, NewerRecordError
from shared.domain.run.migrations import MIGRATIONS, migrated
from shared.domain.run.names import is_companion_of, parse_upload
from shared.domain.run.run import SCHEMA_VERSION, Run
from shared.domain.sanitize import is_supported_timestamp

RECORD_LIMIT_BYTES = 16 * 1024 * 1024
"""The longest record that is read: a hundred times the longest that the app writes."""


class _Versioned(msgspec.Struct):
    """What every version of a record has."""

    schema_version: int


def read_record(run_id: str, body: bytes) -> Run:
    """Decode the record of a run.

    Args:
        run_id: The run that the record is stored as.
        body: The record, JSON.

    Raises:
        NewerRecordError: If a newer version of the app wrote it.
        CorruptRunError: If it is no record, another run's, has fields that no version of the app writes,
            names what no upload could, or has times that no run could.
    """
    try:
        run = _decoded(run_id, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as fault:
        raise CorruptRunError(f"the record of {run_id} cannot be read: {fault}") from fault
    if run.run_id != run_id:
        raise CorruptRunError(f"the record of {run_id} belongs to another run")
    first, *others = (file.path for file in run.source.files)
    if parse_upload(first) is None or not all(is_companion_of(other, first) for other in others):
        raise CorruptRunError(f"the record of {run_id} names files that belong to no upload")
    if not all(map(is_supported_timestamp, _times(run))):
        raise CorruptRunError(f"the record of {run_id} has a time outside the years 2000 to 2200")
    return run


def _decoded(run_id: str, body: bytes) -> Run:
    version = msgspec.json.decode(body, type=_Versioned).schema_version
    if version == SCHEMA_VERSION:
        return msgspec.json.decode(body, type=Run)
    if version > SCHEMA_VERSION:
        raise NewerRecordError(
            f"the record of {run_id} has schema {version}, this version of the app knows {SCHEMA_VERSION}: "
            "it is left as it is; update the app"
        )
    if version not in MIGRATIONS:
        raise CorruptRunError(
            f"the record of {run_id} has schema {version}, which no version of the app wrote"
        )
    return msgspec.convert(migrated(msgspec.json.decode(body), version), Run)


def _times(value: Any) -> Iterator[datetime]:
    """Every time in a decoded record, whatever it is part of."""
    match value:
        case datetime():
            yield value
        case msgspec.Struct():
            for name in value.__struct_fields__:
                yield from _times(getattr(value, name))
        case tuple() | list():
            for item in value:
                yield from _times(item)
        case dict():
            for item in value.values():
                yield from _times(item)
