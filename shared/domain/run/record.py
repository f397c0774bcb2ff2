"""Read a run's record, and reject a damaged or manipulated one as corrupt.

Names on a record become parts of addresses. They are checked here, so that no record leads out of its
container or workspace. So are times, which are reckoned with everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from shared.domain.errors import CorruptRunError
from shared.domain.run.names import is_companion_of, parse_upload
from shared.domain.run.run import Run
from shared.domain.sanitize import is_supported_timestamp


def read_record(run_id: str, body: bytes) -> Run:
    """Decode the record of a run.

    Args:
        run_id: The run that the record is stored as.
        body: The record, JSON.

    Raises:
        CorruptRunError: If it is no record, another run's, names what no upload could, or has times that no
            run could.
    """
    try:
        run = msgspec.json.decode(body, type=Run)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise CorruptRunError(f"the record of {run_id} cannot be read: {fault}") from fault
    if run.run_id != run_id:
        raise CorruptRunError(f"the record of {run_id} belongs to another run")
    first, *others = (file.path for file in run.source.files)
    if parse_upload(first) is None or not all(is_companion_of(other, first) for other in others):
        raise CorruptRunError(f"the record of {run_id} names files that belong to no upload")
    if not all(map(is_supported_timestamp, _times(run))):
        raise CorruptRunError(f"the record of {run_id} has a time outside the years 2000 to 2200")
    return run


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
