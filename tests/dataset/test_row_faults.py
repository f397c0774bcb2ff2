"""What makes a row unusable, each fault with its code, its line and words that help."""

import bz2
import gzip
import json
import lzma

import msgspec
import pytest
import zstandard

from shared.domain.dataset import ValidationRules, Verdict
from tests.dataset.checking import assistant, check_bytes, check_lines, good_rows, jsonl, row, system, user

HELLO, HI = user("Hello"), assistant("Hi there")
TOOL_CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
LONG = user("word " * 9_000)

FAULTS = {
    "latin-1 bytes": (b'{"messages": [{"role": "user", "content": "caf\xe9"}]}', "E101", "byte 47"),
    "utf-16": ("{}".encode("utf-16"), "E101", "UTF-16"),
    "latin-1 in a key that is left out": (
        row(HELLO, HI).replace(b"{", b'{"prompt": "caf\xe9", ', 1),
        "E101",
        "byte 16",
    ),
    "surrogate bytes": (row(user("X"), HI).replace(b"X", b"\xed\xa0\x80"), "E101", "UTF-8"),
    "NUL byte": (row(user("X"), HI).replace(b"X", b"\x00"), "E102", "column"),
    "NUL escape": (row(user("X"), HI).replace(b"X", b"\\u0000"), "E102", "message 1"),
    "cut off": (row(HELLO, HI)[:-1], "E103", "column"),
    "cut off after spaces": (b'    {"messages": [}', "E103", "column 19:"),
    "cut off after a byte order mark": (b'\xef\xbb\xbf  {"messages": [}', "E103", "column 17:"),
    "latin-1 bytes after spaces": (b' \t{"caf\xe9": 1}', "E101", "byte 8 "),
    "latin-1 bytes after a byte order mark": (b'\xef\xbb\xbf{"caf\xe9": 1}', "E101", "byte 9 "),
    "NUL byte after spaces": (b'  {"\x00": 1}', "E102", "column 5;"),
    "rows that end with CR": (b"\r".join([row(HELLO, HI)] * 3), "E103", "CR alone"),
    "trailing comma": (row(HELLO, HI)[:-1] + b",}", "E103", "column"),
    "single quotes": (row(HELLO, HI).replace(b'"', b"'"), "E103", "column 2"),
    "control character": (row(user("X"), HI).replace(b"X", b"\x01"), "E103", "column"),
    "NaN": (row(HELLO, HI, score=float("nan")), "E103", "NaN"),
    "two objects": (row(HELLO, HI) * 2, "E103", "extra data"),
    "deep nesting": (b"[" * 100_000 + b"]" * 100_000, "E103", "deep"),
    "pretty-printed JSON": (b"{", "E103", "one object per line"),
    "array of rows": (b"[" + row(HELLO, HI) + b"]", "E104", "one object per line"),
    "number": (b"42", "E104", "a number"),
    "null": (b"null", "E104", "null"),
    "messages twice": (row(HELLO, HI)[:-1] + b', "messages": []}', "E106", '"messages"'),
    "messages twice, compactly": (b'{"messages":[],' + row(HELLO, HI)[1:], "E106", '"messages"'),
    "role twice": (row(HELLO, HI).replace(b"[{", b'[{"role":"user",'), "E106", "message 1"),
    "half a surrogate pair": (row(user("X"), HI).replace(b"X", b"\\ud83d"), "E107", "message 1"),
    "no messages": (b'{"title": "Why?", "body": "So."}', "E201", '"title", "body"'),
    "empty object": (b"{}", "E201", "no keys"),
    "half a surrogate pair in a key": (b'{"\\ud83d": 1}', "E201", '"\\ud83d"'),
    "half a surrogate pair in a key given twice": (
        row(HELLO, HI)[:-1] + b', "\\ud83d": 1, "\\ud83d": 2}',
        "E106",
        '"\\ud83d"',
    ),
    "messages are text": (b'{"messages": "user: hi"}', "E202", "a string"),
    "messages are null": (b'{"messages": null}', "E202", "null"),
    "no message": (row(), "E203", "0 of the 2"),
    "one message": (row(HELLO), "E203", "1 of the 2"),
    "message is text": (row(HELLO, "Hi"), "E204", "message 2"),
    "no content": (row(HELLO, {"role": "assistant"}), "E205", '"content"'),
    "no role": (row({"content": "Hello"}, HI), "E205", '"role"'),
    "content is null": (row(HELLO, assistant(None)), "E206", "null"),
    "a content's part is a number": (row(user([{"type": "text", "text": "a"}, 3]), HI), "E206", "a part"),
    "role is a number": (row({"role": 1, "content": "Hello"}, HI), "E206", "a number"),
    "role is a list": (row({"role": ["user"], "content": "Hello"}, HI), "E206", "a list"),
    "unknown role": (row(HELLO, {"role": "bot", "content": "Hi"}), "E207", "bot"),
    "system in the middle": (row(HELLO, HI, system("Be brief."), HELLO, HI), "E208", "message 3"),
    "two system messages": (row(system("a"), system("b"), HELLO, HI), "E208", "message 2"),
    "assistant first": (row(HI, HELLO, HI), "E209", "message 1"),
    "assistant after system": (row(system("a"), HI), "E209", "message 2"),
    "two users": (row(HELLO, user("Anyone?"), HI), "E210", "messages 1 and 2"),
    "two assistants": (row(HELLO, HI, HI), "E210", "messages 2 and 3"),
    "user last": (row(HELLO, HI, HELLO), "E211", "user"),
    "system alone": (row(system("a"), system("b")), "E211", "system"),
    "empty content": (row(HELLO, assistant("")), "E212", "message 2"),
    "blank content": (row(user(" \n\t\u00a0"), HI), "E212", "message 1"),
    "tool call": (row(HELLO, TOOL_CALL, HI), "E213", "message 2"),
    "tool answer": (
        row(HELLO, {"role": "tool", "tool_call_id": "c1", "content": "1"}, HI),
        "E213",
        "message 2",
    ),
    "function call": (
        row(HELLO, {"role": "assistant", "content": "", "function_call": {"name": "f"}}),
        "E213",
        "message 2",
    ),
    "tools": (row(HELLO, HI, tools=[{"type": "function"}]), "E213", "tools"),
    "question fills the window": (row(LONG, HI), "E214", "4,096"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_reported_with_its_code_and_line_and_its_row_left_out(name: str) -> None:
    """Each faulty row is counted once under its code, at its line, and is not in the snapshot."""
    line, code, words = FAULTS[name]
    good = good_rows(30)
    checked = check_lines([*good[:20], line, *good[20:]])
    assert [number for number, _ in checked.found(code)] == [21]
    assert words in checked.found(code)[0][1]
    assert msgspec.json.encode(checked.report)
    assert checked.report.counts[code] == 1
    assert (checked.report.rows, checked.report.rows_kept) == (31, 30)
    assert checked.report.verdict is Verdict.REJECTED
    assert len(checked.conversations()) == 30


def test_a_file_of_classic_mac_lines_is_named_as_that() -> None:
    """Nothing ends its only line, so nothing is said about CR LF."""
    checked = check_bytes(b"\r".join([*good_rows(20), b""]))
    assert "CR alone" in checked.found("E103")[0][1]
    assert not checked.found("R102")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(jsonl(good_rows(30))), "end with .jsonl.gz"),
        (zstandard.ZstdCompressor().compress(jsonl(good_rows(30))), "end with .jsonl.zst"),
        (jsonl(good_rows(30)).decode().encode("utf-16"), "UTF-16"),
        (jsonl(good_rows(30)).decode().encode("utf-16-le"), "UTF-16 without"),
        (jsonl(good_rows(30)).decode().encode("utf-16-be"), "UTF-16 without"),
        (b"prompt,completion\nHi,Hello\n" * 30, "CSV"),
        (b'\xef\xbb\xbf"prompt";"completion"\r\n"Hi";"Hello"\r\n', "CSV"),
        (b"question\tanswer\nHi\tHello\n", "CSV"),
        (jsonl(good_rows(30)).decode().encode("utf-32"), "UTF-32"),
        (jsonl(good_rows(30)).decode().encode("utf-32-le"), "UTF-32 without"),
        (b"prompt|completion\nHi|Hello\n" * 30, "CSV"),
        (bz2.compress(jsonl(good_rows(30))), "bzip2"),
        (lzma.compress(jsonl(good_rows(30))), "xz"),
        (b"train.jsonl".ljust(257, b"\0") + b"ustar\0" + bytes(300), "tar"),
        (b"7z\xbc\xaf\x27\x1c\n", "7z"),
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"".join(b"data: %b\n\n" % line for line in good_rows(30)), "stream of events"),
        (b"".join(str(json.loads(line)).encode() + b"\n" for line in good_rows(30)), "json.dumps"),
        (b"PAR1\x15\x04\x15", "Parquet"),
        (b"PK\x03\x04\x14", "spreadsheet"),
    ],
)
def test_another_kind_of_file_is_named_once(data: bytes, words: str) -> None:
    """By how it begins, however its bytes arrive; none of its lines is a finding of its own."""
    for chunks in ((), range(1, min(600, len(data)))):
        report = check_bytes(data, chunks=chunks).report
        assert {code for code in report.counts if code < "E2"} == {"E007"}
        assert words in report.reason


def test_all_faults_of_a_row_are_reported() -> None:
    """A row's faults are all found at once, each code at most once per row."""
    line = row(assistant(""), {"role": "bot", "content": " "}, user("x"))
    checked = check_lines([*good_rows(20), line])
    assert {code for code in checked.report.counts if code[0] == "E"} == {"E207", "E209", "E211", "E212"}
    assert checked.report.counts["E212"] == 1


def test_a_row_longer_than_the_limit_is_a_fault_and_the_next_line_is_read() -> None:
    """A line over `max_line_bytes` is passed over; the numbers of the lines after it are right."""
    lines = [*good_rows(20), row(user("x" * 5_000), assistant("y")), b"{}"]
    checked = check_lines(lines, ValidationRules(max_line_bytes=4_000))
    assert checked.found("E105") == [(21, f"the line has {len(lines[20]):,} bytes; 4,000 are allowed")]
    assert [number for number, _ in checked.found("E201")] == [22]


def test_a_line_of_exactly_the_limit_is_read() -> None:
    """The limit counts the line without its newline, and is inclusive."""
    line = row(user("x" * 5_000), assistant("y"))
    for limit, faults in ((len(line), 0), (len(line) - 1, 1)):
        report = check_lines([*good_rows(20), line], ValidationRules(max_line_bytes=limit)).report
        assert report.counts.get("E105", 0) == faults


def test_counts_are_complete_and_lists_are_capped() -> None:
    """Of many issues of one code the first few are listed and all are counted."""
    checked = check_lines([*good_rows(20), *[b"{}"] * 50], ValidationRules(issues_per_code=7))
    assert checked.report.counts["E201"] == 50
    assert [line for line, _ in checked.found("E201")] == list(range(21, 28))


def test_a_conversation_of_a_thousand_turns_is_fine() -> None:
    """There is no limit on turns besides the context window."""
    turns = [message for _ in range(500) for message in (user("a"), assistant("b"))]
    checked = check_lines([*good_rows(20), row(*turns)])
    assert checked.report.accepted
    assert checked.report.turns_per_row[-1].high == 1_000
    assert "W102" in checked.report.counts
