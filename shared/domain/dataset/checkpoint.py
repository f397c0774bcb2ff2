"""How far a validation is, written down so that another process can go on."""

from collections.abc import Sequence

import msgspec

from .content import is_compressed
from .duplicates import SeenState
from .file_validator import FileState
from .issue_log import LogState
from .report import FileSummary
from .rules import Split, ValidationRules
from .smoke import SmokeState
from .snapshot import SnapshotState
from .splitting import SplitterState
from .statistics import StatisticsState

FORMAT = 2
"""Of a checkpoint: changes with any state in it."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All that a validation needs to go on in another process.

    Attributes:
        file: The file being read, by its place in the order of reading.
        at: How far it was read.
        sinks: What whoever writes the snapshot needs; not looked at here.
    """

    format: int
    rules: ValidationRules
    names: list[str]
    file: int
    at: FileState
    files: list[FileSummary]
    log: LogState
    statistics: StatisticsState
    seen: SeenState
    splitter: SplitterState
    smoke: SmokeState
    snapshot: dict[Split, SnapshotState]
    left_out: list[tuple[tuple[str, ...], int]]
    sinks: bytes = b""


def read_checkpoint(data: bytes, names: Sequence[str], rules: ValidationRules) -> Checkpoint | None:
    """Read what `Validator.checkpoint` wrote; None if files, rules or version are others."""
    try:
        state = msgspec.msgpack.decode(data, type=Checkpoint)
    except msgspec.DecodeError:
        return None
    same = state.format == FORMAT and state.rules == rules and sorted(state.names) == sorted(names)
    return state if same else None


def resumes_at(state: Checkpoint | None, name: str) -> int:
    """The byte of a file from which a validation that goes on wants its chunks."""
    if state is None or state.file >= len(state.names) or state.names[state.file] != name:
        return 0
    return 0 if is_compressed(name) else state.at.position
