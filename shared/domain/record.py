"""Reading a run's record back: what a hand or a disk made of it is the run that was asked for, or corrupt.

Names on a record become parts of addresses. They are checked here, so that no record leads out of its
container or workspace.
"""

from __future__ import annotations

import msgspec

from shared.domain.errors import CorruptRunError
from shared.domain.names import companions_of
from shared.domain.run import Run


def read_record(run_id: str, body: bytes) -> Run:
    """Decode the record of a run.

    Args:
        run_id: The run that the record is stored as.
        body: The record, JSON.

    Raises:
        CorruptRunError: If it is no record, another run's, or names what no upload could.
    """
    try:
        run = msgspec.json.decode(body, type=Run)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise CorruptRunError(f"the record of {run_id} cannot be read: {fault}") from fault
    if run.run_id != run_id:
        raise CorruptRunError(f"the record of {run_id} is one of another run")
    first, *others = (file.path for file in run.source.files)
    allowed = companions_of(first)
    if allowed is None or not allowed.issuperset(others):
        raise CorruptRunError(f"the record of {run_id} names files that are of no upload")
    return run
