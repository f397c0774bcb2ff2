"""Building datasets and validating them."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from shared.domain.dataset import DatasetFile, DatasetReport, Split, ValidationRules, validate_files

RULES = ValidationRules(min_evaluation_rows=1)


class MemorySink:
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        """See `Sink.write`."""
        self.pieces.append(piece)

    def write_first(self, piece: bytes) -> None:
        """See `Sink.write_first`."""
        self.pieces.insert(0, piece)


class Checked(NamedTuple):
    """A report and the snapshot that belongs to it."""

    report: DatasetReport
    copy: dict[Split, bytes]

    def rows(self, split: Split) -> list[dict[str, Any]]:
        """The rows of one snapshot file."""
        return [json.loads(line) for line in self.copy[split].decode().split("\n") if line]

    def conversations(self) -> set[str]:
        """Every conversation of the snapshot, as comparable text."""
        return {json.dumps(row["messages"], sort_keys=True) for split in Split for row in self.rows(split)}

    def found(self, code: str) -> list[tuple[int | None, str]]:
        """Line and message of each listed issue of a code."""
        return [(issue.line, issue.message) for issue in self.report.issues if issue.code == code]


def user(content: Any) -> dict[str, Any]:
    """A user's message."""
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    """An assistant's message."""
    return {"role": "assistant", "content": content}


def system(content: Any) -> dict[str, Any]:
    """A system message."""
    return {"role": "system", "content": content}


def conversation(number: int) -> list[dict[str, Any]]:
    """A conversation unlike that of any other number."""
    return [user(f"What is {number} and {number}?"), assistant(f"It is {2 * number}.")]


def row(*messages: Any, **keys: Any) -> bytes:
    """One line of an upload."""
    return json.dumps({**keys, "messages": list(messages)}, ensure_ascii=False).encode()


def good_rows(count: int, first: int = 0) -> list[bytes]:
    """Lines that have nothing wrong with them."""
    return [row(*conversation(number)) for number in range(first, first + count)]


def jsonl(lines: Iterable[bytes]) -> bytes:
    """Lines as a file."""
    return b"".join(line + b"\n" for line in lines)


def check(*files: DatasetFile, rules: ValidationRules | None = None) -> Checked:
    """Check files and collect the snapshot."""
    sinks = {split: MemorySink() for split in Split}
    report = validate_files(files, rules or RULES, sinks)
    return Checked(report, {split: b"".join(sink.pieces) for split, sink in sinks.items()})


def check_bytes(
    data: bytes, name: str = "math.jsonl", rules: ValidationRules | None = None, chunks: Sequence[int] = ()
) -> Checked:
    """Check one file that is to be split; `chunks` are the positions at which its bytes are cut."""
    cuts = [0, *sorted(chunks), len(data)]
    parts = [data[start:end] for start, end in pairwise(cuts)]
    return check(DatasetFile(name, None, parts), rules=rules)


def check_lines(lines: Iterable[bytes], rules: ValidationRules | None = None) -> Checked:
    """Check lines as one file that is to be split."""
    return check_bytes(jsonl(lines), rules=rules)
