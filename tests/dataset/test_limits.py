"""Sizes: what is too large ends in a clear finding, and nothing is held in memory for it."""

import gzip
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import repeat

import pytest
import zstandard

from shared.domain.dataset import (
    DatasetFile,
    DatasetReport,
    NoSink,
    RowPolicy,
    Split,
    ValidationRules,
    validate_files,
)
from shared.domain.dataset.duplicates import SeenConversations
from tests.dataset.checking import assistant, check_bytes, good_rows, jsonl, row, user

MEBIBYTE = 1 << 20


def peak_of(
    name: str, chunks: Iterable[bytes], rules: ValidationRules | None = None
) -> tuple[DatasetReport, int]:
    """Check a file with sinks that keep nothing; return the report and the peak of allocated bytes."""
    sinks = dict.fromkeys(Split, NoSink())
    tracemalloc.start()
    try:
        report = validate_files([DatasetFile(name, None, chunks)], rules or ValidationRules(), sinks)
        return report, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_line_of_64_mebibytes_is_passed_over() -> None:
    """A giant line is one finding, held in memory only up to the limit."""
    chunks = [jsonl(good_rows(20)), *repeat(b"x" * MEBIBYTE, 64), b"\n", jsonl(good_rows(20, first=50))]
    report, peak = peak_of("d.jsonl", chunks)
    assert report.counts["E105"] == 1
    assert report.rows_kept == 40
    assert peak < 13 * MEBIBYTE


@pytest.mark.parametrize("unit", ["{}", "[]", "1", '"ab"', '{"a":1}', "[" * 1_000])
def test_a_line_of_very_many_values_takes_little_memory(unit: str) -> None:
    """Values are counted before they are decoded, which would take sixty times the line's size."""
    line = f'{{"messages":[{",".join([unit] * (2 * MEBIBYTE // len(unit)))}]}}\n'.encode()
    chunks = [jsonl(good_rows(20)), line, jsonl(good_rows(20, first=50))]
    report, peak = peak_of("d.jsonl", chunks, ValidationRules(max_line_bytes=8 * MEBIBYTE))
    assert [issue.line for issue in report.issues if issue.code == "E108"] == [21]
    assert report.rows_kept == 40
    assert peak < 24 * MEBIBYTE


@pytest.mark.parametrize("mark", ["", "é", "\U0001f600"])
def test_the_longest_line_allowed_takes_memory_within_reason(mark: str) -> None:
    """A long text takes up to 28 times its size while it is decoded, encoded and measured."""
    line = row(user(mark + "word " * 800_000), assistant("x")).replace(b"{", b"{ ", 1)
    report, peak = peak_of("d.jsonl", [jsonl([line])])
    assert report.counts["E214"] == 1
    assert peak < 112 * MEBIBYTE


def test_brackets_and_commas_in_texts_are_no_values() -> None:
    """A text may have any number of them, after escaped quotation marks too."""
    line = row(user("?"), assistant('"[{,' * 200_000))
    assert check_bytes(jsonl([*good_rows(20), line])).report.counts == {"W102": 1}


def test_endless_blank_lines_end_the_check() -> None:
    """Of an endless run of blank lines no more is read than the limit allows."""
    served = 0

    def blank_lines() -> Iterator[bytes]:
        nonlocal served
        for chunk in repeat(b"\n" * MEBIBYTE, 5_000):
            served += 1
            yield chunk

    report, peak = peak_of("d.jsonl", blank_lines())
    assert report.counts["E004"] == 1
    assert "100,000 blank lines" in report.reason
    assert served == 1
    assert peak < 13 * MEBIBYTE


def test_a_file_over_the_size_limit_ends_the_check() -> None:
    """The limit on a file's size is a setting, and the report names it."""
    report = check_bytes(jsonl(good_rows(100)), rules=ValidationRules(max_uncompressed_bytes=1_000)).report
    assert report.counts["E002"] == 1
    assert "1,000 bytes" in report.reason


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_bomb_ends_the_check(suffix: str) -> None:
    """A file that expands a thousandfold is refused long before it has expanded."""
    if suffix == ".gz":
        packed = gzip.compress(b" " * (128 * MEBIBYTE))
    else:
        packed = zstandard.ZstdCompressor().compress(b" " * (128 * MEBIBYTE))
    report, peak = peak_of("d.jsonl" + suffix, [packed])
    assert report.counts["E003"] == 1
    assert report.files[0].bytes <= (16 + 9) * MEBIBYTE + 200 * len(packed)
    assert peak < 20 * MEBIBYTE
    assert "expands" in report.reason


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_damaged_compression_is_a_finding(suffix: str) -> None:
    """A compressed file that is cut short, altered or not compressed at all is reported as that."""
    plain = jsonl(good_rows(60))
    packed = gzip.compress(plain) if suffix == ".gz" else zstandard.ZstdCompressor().compress(plain)
    damaged = (packed[:-20], packed[: len(packed) // 2] + bytes(20), plain, packed + packed[:-20])
    for data in damaged:
        report = check_bytes(data, "d.jsonl" + suffix).report
        assert report.counts["E001"] == 1
        assert not report.accepted


def test_zeros_that_pad_a_gzip_file_are_passed_over() -> None:
    """As `gzip` itself does; zeros in front are no gzip data."""
    packed = gzip.compress(jsonl(good_rows(30)))
    for data in (packed + bytes(512), packed + bytes(7) + packed + bytes(100_000)):
        assert "E001" not in check_bytes(data, "d.jsonl.gz", chunks=range(1, len(data), 99)).report.counts
    assert check_bytes(bytes(512) + packed, "d.jsonl.gz").report.counts["E001"] == 1


def test_a_zstd_window_that_is_too_large_is_named_as_that() -> None:
    """`zstd --long=31` writes files that take 2 GiB to read: whole ones, but not read here."""
    parameters = zstandard.ZstdCompressionParameters(window_log=28, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(jsonl(good_rows(30))) + packer.flush()
    report = check_bytes(packed, "d.jsonl.zst").report
    assert report.counts["E001"] == 1
    assert "128 MiB; compress them without --long" in report.reason
    assert "damaged" not in report.reason


def test_memory_does_not_grow_with_the_dataset() -> None:
    """From two thousand to forty thousand rows memory grows by at most 32 bytes a row."""
    peaks = []
    for rows in (2_000, 40_000):
        chunks = (jsonl(good_rows(500, first=start)) for start in range(0, rows, 500))
        peaks.append(peak_of("d.jsonl", chunks)[1])
    assert peaks[1] - peaks[0] <= 32 * 38_000


def test_the_memory_of_rows_stays_small_while_it_grows() -> None:
    """Even while its table doubles, what is known of earlier rows takes 32 bytes a row."""
    seen, rows, mix = SeenConversations(), 0, 0x9E37_79B9_7F4A_7C15
    tracemalloc.start()
    try:
        while rows < 40_000:
            rows += 1
            assert not seen.add(rows * mix % 2**64, 1)
            peak = tracemalloc.get_traced_memory()[1]
            assert peak <= 32 * rows + 48 * 1024
        assert all(seen.add(row * mix % 2**64, 2) == 1 for row in range(1, 1_000))
    finally:
        tracemalloc.stop()


def test_the_memory_of_rows_has_a_bound() -> None:
    """Once it is full, one conversation in so many is remembered, and copies of those are found as before."""
    seen, mix = SeenConversations(most_slots=1 << 12), 0x9E37_79B9_7F4A_7C15
    digests = [number * mix % 2**64 for number in range(1, 100_000)]
    tracemalloc.start()
    try:
        assert not any(seen.add(digest, 1) for digest in digests)
        assert tracemalloc.get_traced_memory()[1] < 128 * 1024
    finally:
        tracemalloc.stop()
    assert 32 <= seen.sampled <= 64
    found = sum(map(bool, (seen.add(digest, 2) for digest in digests)))
    assert found == pytest.approx(len(digests) / seen.sampled, rel=0.1)


def test_digests_made_to_collide_cost_no_more_than_others() -> None:
    """An uploader may choose rows whose digests are alike; they are not all compared with each other."""
    seen = SeenConversations()
    for number in range(1, 4_000):
        seen.add(number << 3, 1)
    assert seen.sampled == 1


@pytest.mark.parametrize("policy", RowPolicy)
@pytest.mark.parametrize(("line", "code"), [(b"{}", "E201"), (b'{"chosen": "a", "rejected": "b"}', "E401")])
def test_a_verdict_that_is_sure_comes_early(policy: RowPolicy, line: bytes, code: str) -> None:
    """A dataset that is rejected anyway is read no further than its first 16 MiB and a bit."""
    block = jsonl([row(user(f"{number}"), assistant("long " * 20_000)) for number in range(5)])

    def chunks() -> Iterator[bytes]:
        for _ in range(1_000):
            yield block + line + b"\n"

    early = policy is RowPolicy.STRICT or code == "E401"
    rules = ValidationRules(row_policy=policy, max_uncompressed_bytes=18 * MEBIBYTE)
    report = validate_files([DatasetFile("d.jsonl", None, chunks())], rules, dict.fromkeys(Split, NoSink()))
    assert report.complete is not early
    assert (16 < report.files[0].bytes / MEBIBYTE < 17) is early
    assert not report.accepted
    assert not early or (code in report.reason and "E3" not in "".join(report.counts))
