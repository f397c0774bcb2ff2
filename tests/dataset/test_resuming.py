"""A validation that was written down and goes on elsewhere ends as if it had never stopped."""

import gzip
from collections.abc import Sequence

import msgspec
import pytest

from shared.domain.dataset import (
    DatasetFile,
    Split,
    ValidationRules,
    Validator,
    read_checkpoint,
    resumes_at,
)
from tests.dataset.checking import RULES, Checked, MemorySink, assistant, check, good_rows, jsonl, row, user

LONG = row(user("5, " * 2_100), assistant("Many."))  # W106: the trainer may drop it
# Of each kind some: repairs, faults, duplicates, a line of several pieces, and one without its newline.
TRAIN = b"\xef\xbb\xbf" + b"\n".join(
    [
        LONG,
        *good_rows(1_500),
        b"{}",
        b"",
        *good_rows(300, first=1_300),
        row(user("x"), assistant("y" * 300_000)),
        row(user("Extra"), assistant("keys"), id=1),
        *good_rows(900, first=5_000),
        LONG.replace(b"Many", b"Lots"),
        b'{"prompt": "a", "completion": "b"}',
    ]
)
TEST = jsonl([*good_rows(50, first=1_490), *good_rows(50, first=9_000)])


def _files(state: object, gzipped: bool) -> list[DatasetFile]:
    contents = {"d/train.jsonl": (Split.TRAIN, TRAIN), "d/test.jsonl": (Split.TEST, TEST)}
    files = []
    for name, (split, data) in contents.items():
        stored = gzip.compress(data, mtime=0) if gzipped else data
        path = f"{name}.gz" if gzipped else name
        rest = stored[resumes_at(state, path) :]  # type: ignore[arg-type]
        files.append(DatasetFile(path, split, [rest[at : at + 9_999] for at in range(0, len(rest), 9_999)]))
    return files


def _interrupted(every: int, gzipped: bool, rules: ValidationRules) -> tuple[Checked, int]:
    """Validate, going on in a new validator after so many steps; returns how often that was."""
    sinks = {split: MemorySink() for split in Split}
    data: bytes | None = None
    names = [file.name for file in _files(None, gzipped)]
    for restarts in range(10_000):
        state = read_checkpoint(data, names, rules) if data else None
        validator = Validator(_files(state, gzipped), rules, sinks)
        if data:
            assert state is not None
            validator.resume(state)
        for number, _ in enumerate(validator.steps(), 1):
            if number == every:
                data = validator.checkpoint()
                break
        else:
            report = validator.report()
            return Checked(report, {split: b"".join(sink.pieces) for split, sink in sinks.items()}), restarts
    raise AssertionError("it never ends")


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("every", [1, 7])
def test_an_interrupted_validation_ends_like_any_other(every: int, gzipped: bool) -> None:
    """Wherever it stops, report and snapshot are those of a validation in one go."""
    whole = check(*_files(None, gzipped), rules=RULES)
    parts, restarts = _interrupted(every, gzipped, RULES)
    assert restarts >= 3
    assert msgspec.structs.replace(parts.report, files=whole.report.files) == whole.report
    assert [summary.rows for summary in parts.report.files] == [file.rows for file in whole.report.files]
    assert parts.copy == whole.copy
    assert whole.report.splits[Split.TRAIN].rows > 2_000


def test_a_checkpoint_is_for_its_own_files_and_rules_only() -> None:
    """Another upload, other rules, or bytes that are no checkpoint begin anew."""
    validator = Validator(_files(None, gzipped=False), RULES, {split: MemorySink() for split in Split})
    next(validator.steps())
    data = validator.checkpoint(b"mine")
    names: Sequence[str] = ("d/train.jsonl", "d/test.jsonl")
    state = read_checkpoint(data, names, RULES)
    assert state is not None
    assert state.sinks == b"mine"
    assert read_checkpoint(data, names[:1], RULES) is None
    assert read_checkpoint(data, names, ValidationRules(seed=1)) is None
    assert read_checkpoint(data[:-5], names, RULES) is None
    assert read_checkpoint(b"", names, RULES) is None
