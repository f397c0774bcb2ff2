"""Which rows go to which split."""

import json

import pytest

from shared.domain.dataset import DatasetFile, Split, ValidationRules, Verdict
from tests.dataset.checking import check, check_lines, good_rows, jsonl


def counts(lines: list[bytes], rules: ValidationRules | None = None) -> tuple[int, int, int]:
    """Rows in each split."""
    splits = check_lines(lines, rules).report.splits
    return splits[Split.TRAIN].rows, splits[Split.VALIDATION].rows, splits[Split.TEST].rows


@pytest.mark.parametrize(
    ("rows", "expected"), [(12, (10, 1, 1)), (20, (16, 2, 2)), (60, (48, 6, 6)), (999, (801, 99, 99))]
)
def test_small_datasets_get_exact_shares(rows: int, expected: tuple[int, int, int]) -> None:
    """Up to a thousand rows the shares are exact, and no split is ever empty."""
    assert counts(good_rows(rows)) == expected


def test_large_datasets_get_their_shares_to_within_chance() -> None:
    """Beyond the rows that are held back, shares follow the hash: within five standard deviations."""
    train, validation, test = counts(good_rows(20_000))
    assert train + validation + test == 20_000
    assert abs(validation - 2_000) < 5 * 43
    assert abs(test - 2_000) < 5 * 43


def test_a_share_of_one_percent_is_never_empty() -> None:
    """Even a tiny share has rows in a dataset larger than what is held back."""
    rules = ValidationRules(train_percent=98, validation_percent=1, test_percent=1)
    assert min(counts(good_rows(1_100), rules)) >= 1
    assert counts(good_rows(60), rules) == (58, 1, 1)


@pytest.mark.parametrize("rows", [60, 3_000])
def test_duplicates_never_straddle(rows: int) -> None:
    """Copies of a conversation share a split, however far apart and however they are written."""
    lines = good_rows(rows)
    respaced = [
        json.dumps(json.loads(line), separators=(",", ":"), sort_keys=True).encode() for line in lines
    ]
    checked = check_lines([*lines, *respaced, *lines[::-1]])
    seen = [{json.dumps(row, sort_keys=True) for row in checked.rows(split)} for split in Split]
    assert sum(len(part) for part in seen) == len(set().union(*seen)) == rows
    assert checked.report.counts["W103"] == 2 * rows


def test_the_seed_and_nothing_else_decides() -> None:
    """The same rows in another order are split alike; another seed splits them otherwise."""
    lines = good_rows(2_000)
    one, two, other = check_lines(lines), check_lines(lines), check_lines(lines, ValidationRules(seed=7))
    assert one.copy == two.copy
    tests = [{json.dumps(row) for row in checked.rows(Split.TEST)} for checked in (one, other)]
    assert len(tests[0] & tests[1]) < 60
    assert one.report.fingerprint != other.report.fingerprint


def test_the_order_of_a_small_upload_does_not_move_rows_between_splits() -> None:
    """Assignment depends on content, so a shuffled file has the same three sets of rows."""
    lines = good_rows(200)
    one, two = check_lines(lines), check_lines(lines[::-1])
    for split in Split:
        assert {json.dumps(row) for row in one.rows(split)} == {json.dumps(row) for row in two.rows(split)}


def test_uploaded_splits_are_used_as_they_are() -> None:
    """Given files are copied whole, in their order; only what is missing comes from training."""
    train, validation = good_rows(40), good_rows(7, first=1_000)
    checked = check(
        DatasetFile("d/validation.jsonl", Split.VALIDATION, [jsonl(validation)]),
        DatasetFile("d/train.jsonl", Split.TRAIN, [jsonl(train)]),
    )
    assert checked.rows(Split.VALIDATION) == [json.loads(line) for line in validation]
    assert checked.report.splits[Split.TEST].rows == 4
    assert checked.report.splits[Split.TRAIN].rows == 36


def test_three_uploaded_splits_leave_training_whole() -> None:
    """With all three files nothing is taken from training, and the seed has no say."""
    files = [
        (f"d/{split}.jsonl", split, [jsonl(good_rows(20, first=100 * number))])
        for number, split in enumerate(Split)
    ]
    reports = [
        check(*(DatasetFile(*file) for file in files), rules=ValidationRules(seed=seed)).report
        for seed in (1, 2)
    ]
    assert [summary.rows for summary in reports[0].splits.values()] == [20, 20, 20]
    assert reports[0].fingerprint == reports[1].fingerprint


def test_rows_in_two_uploaded_splits_draw_a_warning() -> None:
    """A conversation that is in training and in test is counted as leaked, with its line."""
    checked = check(
        DatasetFile("d/train.jsonl", Split.TRAIN, [jsonl(good_rows(30))]),
        DatasetFile(
            "d/test.jsonl", Split.TEST, [jsonl([*good_rows(5, first=500), *good_rows(2), *good_rows(1)])]
        ),
    )
    assert [line for line, _ in checked.found("W104")] == [6, 7, 8]
    assert [line for line, _ in checked.found("W103")] == [8]
    assert "train" in checked.found("W104")[0][1]
    assert checked.report.accepted


@pytest.mark.parametrize(("rows", "code"), [(11, "E301"), (1, "E302"), (0, "E006")])
def test_too_few_rows_are_rejected_explicitly(rows: int, code: str) -> None:
    """Fewer than twelve rows cannot give training ten and the other splits one each."""
    report = check_lines(good_rows(rows)).report
    assert report.verdict is Verdict.REJECTED
    assert code in report.counts
    assert report.reason.endswith(".")


def test_copies_of_one_conversation_cannot_fill_three_splits() -> None:
    """Thousands of rows with one conversation leave validation empty, and that is said."""
    report = check_lines(good_rows(1) * 5_000).report
    assert report.counts["E302"] == 2
    assert not report.accepted


def test_an_empty_uploaded_split_is_rejected() -> None:
    """An empty file is never written: Azure ML would slice training instead."""
    checked = check(
        DatasetFile("d/train.jsonl", Split.TRAIN, [jsonl(good_rows(30))]),
        DatasetFile("d/test.jsonl", Split.TEST, [b"\n"]),
    )
    assert {"E006", "E302"} <= checked.report.counts.keys()
    assert checked.copy[Split.TEST] == b""
    assert not checked.report.accepted


def test_a_missing_training_file_is_rejected() -> None:
    """Validation alone cannot be trained on."""
    report = check(DatasetFile("d/test.jsonl", Split.TEST, [jsonl(good_rows(30))])).report
    assert "E005" in report.counts
    assert not report.accepted


def test_two_files_for_one_split_are_a_mistake_of_the_caller() -> None:
    """One split has one file."""
    with pytest.raises(ValueError, match="one split"):
        check(DatasetFile("a", None, []), DatasetFile("b", Split.TRAIN, []))


@pytest.mark.parametrize("shares", [(80, 10, 11), (90, 10, 0), (100, 0, 0), (120, -10, -10)])
def test_shares_that_leave_a_split_empty_are_refused(shares: tuple[int, int, int]) -> None:
    """Shares are positive and add up to 100."""
    with pytest.raises(ValueError, match="100"):
        ValidationRules(train_percent=shares[0], validation_percent=shares[1], test_percent=shares[2])
