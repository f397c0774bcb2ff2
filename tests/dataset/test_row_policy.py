"""Strict or drop, and whether the trainer agrees with what the report promises."""

import json
import random
from pathlib import Path

import pytest
from azureml_emulator import PreprocessError, preprocess_files

from shared.domain.dataset import DatasetFile, RowPolicy, Split, ValidationRules, Verdict
from tests.dataset.checking import (
    Checked,
    assistant,
    check,
    check_bytes,
    check_lines,
    good_rows,
    jsonl,
    row,
    user,
)

SAMPLES = Path(__file__).parents[2] / "local" / "samples"
DROP = ValidationRules(row_policy=RowPolicy.DROP, max_dropped_percent=10)
LONG = "The river runs on and on. " * 900  # more tokens than the window by any count


def trained_rows(checked: Checked) -> dict[str, int]:
    """Rows of each split that the emulator's trainer keeps of a snapshot."""
    files = [(f"{split}.jsonl", checked.copy[split]) for split in Split]
    return preprocess_files(*files, window=ValidationRules().context_window).rows


def test_strict_rejects_for_one_faulty_row_and_says_which() -> None:
    """One faulty row rejects the dataset; the reason names its file, line and fault."""
    report = check_lines([*good_rows(20), b"{}", *good_rows(20, first=50)]).report
    assert report.verdict is Verdict.REJECTED
    assert report.reason == (
        "1 of 41 rows cannot be trained on, the first in math.jsonl line 21"
        ' (E201: the row has no keys, but no "messages"); correct the rows and upload again,'
        ' or set row_policy to "drop".'
    )


def test_drop_leaves_faulty_rows_out() -> None:
    """With `drop` a few faulty rows are left out and the rest is accepted."""
    report = check_lines([*good_rows(40), b"{}", row(user("x"))], DROP).report
    assert report.accepted
    assert report.rows_dropped == 2
    assert "2 unusable rows were left out" in report.reason


def test_drop_has_a_limit() -> None:
    """More faulty rows than `max_dropped_percent` reject the dataset after all."""
    report = check_lines([*good_rows(40), *[b"{}"] * 5], DROP).report
    assert not report.accepted
    assert report.counts["E303"] == 1
    assert report.reason.startswith(
        "11.1 % of the rows are unusable; 10 % may be dropped (E303); 5 of 45 rows"
    )


def test_a_file_that_was_not_read_to_its_end_is_the_reason() -> None:
    """A fault of the file itself comes before any faulty row in it."""
    rules = ValidationRules(max_uncompressed_bytes=3_000)
    report = check_bytes(b"{}\n" + jsonl(good_rows(40)), rules=rules, chunks=[1_000, 2_000]).report
    assert report.reason == "math.jsonl: the file has more than 3,000 bytes; upload a smaller one (E002)."


def test_the_trainer_keeps_exactly_the_rows_that_the_report_predicts() -> None:
    """Of a dataset with every fault mixed in, the trainer keeps each row of the copy and no other."""
    faults = (SAMPLES / "broken.jsonl").read_bytes().split(b"\n")[12:-1]
    faults = [line for line in faults if b"tool_calls" not in line]  # these reject under either policy
    repairs = [b"", b"  " + good_rows(1, first=900)[0], good_rows(1, first=901)[0][:-1] + b', "id": 1}\r']
    truncated = [row(user(f"{n}?"), assistant(LONG), user("And?"), assistant("No.")) for n in range(4)]
    nothing_left = [row(user(f"{n} {LONG}"), assistant("Never seen.")) for n in range(3)]
    lines = [*good_rows(300), *faults, *repairs, *truncated, *nothing_left]
    random.Random(5).shuffle(lines)
    checked = check_bytes(b"\xef\xbb\xbf" + b"\n".join(lines), rules=DROP)
    assert checked.report.accepted
    assert checked.report.rows_dropped == 18 + 3
    assert checked.report.counts["W102"] == checked.report.tokens.truncated_rows == 4
    assert checked.report.counts["E214"] == 3
    predicted = {split.value: summary.rows for split, summary in checked.report.splits.items()}
    assert trained_rows(checked) == predicted
    assert sum(predicted.values()) == checked.report.rows_kept == 303 + 4


DIGITS = " ".join("5" * 5_000)  # 10 kB, of which lengths alone would make 2,500 tokens


@pytest.mark.parametrize("at", [0, 20, 40])
@pytest.mark.parametrize(("words", "lost"), [(4_080, False), (4_110, True)])
def test_a_row_whose_answer_may_be_lost_is_never_the_first(at: int, words: int, lost: bool) -> None:
    """Near the window the trainer may drop a row: the report says so, and it crashes on no row 0."""
    near = row(user("5, " * (words // 2)), assistant("Many."))
    lines = [*good_rows(at), near, *good_rows(40 - at, first=at)]
    files = [
        DatasetFile(f"d/{split}.jsonl", split, [jsonl(lines if split is Split.TRAIN else good_rows(12))])
        for split in Split
    ]
    checked = check(*files)
    assert checked.report.accepted
    assert [line for line, _ in checked.found("W106")] == [at + 1]
    assert checked.report.splits[Split.TRAIN].rows == 41
    assert trained_rows(checked)["train"] == 41 - lost
    others = [line for line in checked.rows(Split.TRAIN) if len(str(line)) < 1_000]
    assert others == [json.loads(line) for line in good_rows(40)]


def test_digits_are_counted_as_what_they_are() -> None:
    """A text of digits has a token for each of them, and one for each space between."""
    report = check_lines([*good_rows(40), row(user("Count."), assistant(DIGITS))]).report
    assert report.counts == {"W102": 1}
    assert 9_900 < report.tokens.longest_row < 10_300


def test_the_window_s_worth_of_bytes_is_never_too_long() -> None:
    """No token is shorter than a byte, so up to there no kind of text draws a warning."""
    line = row(user("5"), assistant("5 " * 2_000))
    assert check_lines([*good_rows(40), line]).report.counts == {}


def test_rows_without_an_answer_in_the_window_would_be_lost_in_training() -> None:
    """Of the upload itself the trainer keeps the truncated rows and loses those that validation drops."""
    good, truncated = good_rows(12), row(user("Why?"), assistant(LONG))
    nothing_left = row(user(LONG), assistant("Never seen."))
    files = [
        (f"{split}.jsonl", jsonl([*good[:6], *extra, *good[6:]]))
        for split, extra in zip(Split, ([truncated], [nothing_left], []), strict=True)
    ]
    kept = preprocess_files(*files, window=ValidationRules().context_window).rows
    assert kept == {"train": 13, "validation": 12, "test": 12}


@pytest.mark.parametrize("line", [b"", b"\xef\xbb\xbf" + good_rows(1)[0], row(user("x"), assistant(None))])
def test_the_trainer_fails_on_what_the_gate_puts_right(line: bytes) -> None:
    """What validation repairs or drops would have cost rows or the job: the test above is no tautology."""
    upload = jsonl([line, *good_rows(30)])
    files = [
        ("train.jsonl", upload),
        ("validation.jsonl", jsonl(good_rows(5))),
        ("test.jsonl", jsonl(good_rows(5))),
    ]
    try:
        rows = preprocess_files(*files).rows["train"]
    except PreprocessError:
        rows = -1
    assert rows != len(upload.split(b"\n")) - 1


def test_the_sample_dataset_is_accepted_and_trained_whole() -> None:
    """The sample passes without a warning, in the layout of ultrachat_200k."""
    checked = check_bytes((SAMPLES / "ultrachat-sample.jsonl").read_bytes())
    assert checked.report.accepted
    assert checked.report.counts == {"R105": checked.report.rows}
    assert checked.report.rows >= 60
    assert sum(bucket.rows for bucket in checked.report.turns_per_row if bucket.low >= 4) >= 10
    assert sum(trained_rows(checked).values()) == checked.report.rows


def test_the_broken_dataset_is_rejected_with_each_fault_at_its_line() -> None:
    """The broken sample has one of each common fault, beginning at line 13."""
    checked = check_bytes((SAMPLES / "broken.jsonl").read_bytes())
    order = "E103 E101 E104 E201 E202 E203 E204 E205 E206 E207 E208 E209 E210 E211 E212 E106 E213 E102 E107"
    for line, code in enumerate(order.split(), 13):
        assert line in [number for number, _ in checked.found(code)]
    assert [line for line, _ in checked.found("R103")] == [32]
    assert [line for line, _ in checked.found("W103")] == [33]
    assert checked.report.rows_dropped == 19


def test_the_smoke_sample_comes_from_the_test_split() -> None:
    """A few conversations of the test split, without their last answer, the same ones each time."""
    lines = [row(user(f"q{n}"), assistant(f"a{n}"), user(f"r{n}"), assistant(f"b{n}")) for n in range(200)]
    checked = check_lines(lines, ValidationRules(smoke_samples=4))
    tests = [line["messages"] for line in checked.rows(Split.TEST)]
    samples = checked.report.smoke_sample
    assert len(samples) == 4
    for sample in samples:
        assert [*sample.messages, assistant(sample.expected)] in tests
    assert samples == check_lines(lines[::-1], ValidationRules(smoke_samples=4)).report.smoke_sample


def test_a_smoke_sample_is_bounded() -> None:
    """Long conversations are passed over; if there are no others, one is cut to size."""
    lines = [row(user(f"{n} " * 20_000), assistant("é" * 20_000)) for n in range(30)]
    checked = check_lines(lines, ValidationRules(context_window=100_000))
    (sample,) = checked.report.smoke_sample
    assert sum(len(text.encode()) for text in (sample.messages[-1]["content"], sample.expected)) <= 16_384


def test_the_seed_draws_the_smoke_sample() -> None:
    """Each seed draws other rows, and over many seeds every row of the test split has its turn."""
    train, test = (jsonl(good_rows(60, first=start)) for start in (0, 100))
    files = [DatasetFile("train.jsonl", Split.TRAIN, [train]), DatasetFile("test.jsonl", Split.TEST, [test])]
    drawn = []
    for seed in range(200):
        samples = check(*files, rules=ValidationRules(seed=seed)).report.smoke_sample
        drawn.append(frozenset(sample.expected for sample in samples))
    assert {len(sample) for sample in drawn} == {3}
    assert len(set(drawn)) > 190
    assert len(frozenset().union(*drawn)) == 60
