"""What is put right in the snapshot, and what only draws a warning."""

import gzip
import json

import pytest
import zstandard

from shared.domain.dataset import Split
from tests.dataset.checking import (
    Checked,
    assistant,
    check_bytes,
    check_lines,
    conversation,
    good_rows,
    jsonl,
    row,
    user,
)

CLEAN = good_rows(30)


def same_copy(checked: Checked) -> bool:
    """Whether the snapshot is what clean data give."""
    return checked.copy == check_bytes(jsonl(CLEAN)).copy


REPAIRS = {
    "byte order mark": (b"\xef\xbb\xbf" + jsonl(CLEAN), {"R101": 1}),
    "byte order marks of files put together": (
        b"\xef\xbb\xbf\xef\xbb\xbf" + jsonl(CLEAN[:9]) + b"\xef\xbb\xbf" + jsonl(CLEAN[9:]),
        {"R101": 2},
    ),
    "Windows line ends": (b"\r\n".join([*CLEAN, b""]), {"R102": 30}),
    "blank lines": (jsonl([*CLEAN[:10], b"", b"  \t", *CLEAN[10:], b""]), {"R103": 3}),
    "no newline at the end": (jsonl(CLEAN)[:-1], {"R104": 1}),
    "extra keys": (jsonl([line[:-1] + b', "prompt_id": "x"}' for line in CLEAN]), {"R105": 30}),
    "ragged keys": (jsonl([*CLEAN[:29], CLEAN[29][:-1] + b', "id": {"a": [1.0]}}']), {"R105": 1}),
    "spaces around": (jsonl([b"  " + CLEAN[0] + b"\t", *CLEAN[1:]]), {"R106": 1}),
    "extra message keys": (
        jsonl([line.replace(b'{"role"', b'{"name": "Al", "role"') for line in CLEAN]),
        {"R107": 30},
    ),
    "escapes": (jsonl([line.replace(b"and", b"\\u0061nd") for line in CLEAN]), {}),
    "keys in another order, compact": (
        jsonl(json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")).encode() for line in CLEAN),
        {},
    ),
    "odd spacing": (jsonl([line.replace(b":", b"  :") for line in CLEAN]), {}),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_a_repair_is_counted_and_the_copy_is_that_of_clean_data(name: str) -> None:
    """A repaired upload gives the same snapshot, and so the same fingerprint, as a clean one."""
    data, counts = REPAIRS[name]
    checked = check_bytes(data)
    assert checked.report.counts == counts
    assert checked.report.accepted
    assert same_copy(checked)
    assert checked.report.fingerprint == check_bytes(jsonl(CLEAN)).report.fingerprint


def test_repairs_add_up_on_one_line() -> None:
    """A line may need several repairs, and each is listed."""
    line = b"\xef\xbb\xbf " + CLEAN[0][:-1] + b', "prompt_id": "p"} \r'
    checked = check_bytes(line + b"\n" + jsonl(CLEAN[1:]))
    assert checked.report.counts == {"R101": 1, "R102": 1, "R105": 1, "R106": 1}
    assert same_copy(checked)


def test_the_developer_role_becomes_system() -> None:
    """`developer`, the newer name of the system role, is renamed."""
    checked = check_lines([*CLEAN, row({"role": "developer", "content": "Be brief."}, *conversation(99))])
    assert checked.report.counts == {"R108": 1}
    roles = [
        message["role"] for split in Split for line in checked.rows(split) for message in line["messages"]
    ]
    assert roles.count("system") == 1
    assert "developer" not in roles


@pytest.mark.parametrize("weight", [1, 1.0, True])
def test_a_weight_of_one_is_what_the_trainer_does_anyway(weight: object) -> None:
    """Weights that ask for what happens anyway are left out, as are those of questions."""
    weighted = row({**user("Hello"), "weight": 0}, {**assistant("Hi"), "weight": weight})
    checked = check_lines([*CLEAN, weighted, row(*conversation(99), weight=weight)])
    assert checked.report.counts == {"R105": 1, "R107": 1}


def test_empty_tool_keys_are_left_out() -> None:
    """A row without tools whose maker writes the keys all the same has no tool calls."""
    line = row(user("Hello"), {**assistant("Hi"), "tool_calls": [], "function_call": None}, tools=[])
    checked = check_lines([*CLEAN, line])
    assert checked.report.counts == {"R105": 1, "R107": 1}
    assert checked.report.accepted


def test_a_separator_inside_a_string_is_no_line_end() -> None:
    """U+2028, U+0085 and other characters that `str.splitlines` cuts at stay inside their strings."""
    text = "one\u2028two\u2029three\u0085four\x1cfive".replace("\x1c", "\\u001c")
    checked = check_lines([*CLEAN, row(user(text), assistant(text))])
    assert checked.report.rows_kept == 31
    contents = [m["content"] for split in Split for line in checked.rows(split) for m in line["messages"]]
    assert contents.count(text) == 2


def test_truncation_is_announced_with_the_tokens_it_costs() -> None:
    """A row over the context window is kept and counted together with what the trainer cuts off."""
    checked = check_lines([*CLEAN, row(user("Tell me all."), assistant("word " * 8_000))])
    tokens = checked.report.tokens
    assert checked.report.counts == {"W102": 1}
    assert tokens.truncated_rows == 1
    assert tokens.truncated_tokens == tokens.longest_row - 4_096
    assert 7_000 < tokens.longest_row < 10_500


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_uploads_give_the_same_copy(suffix: str) -> None:
    """`.jsonl.gz` and `.jsonl.zst` are read as what they hold, in several members or frames too."""
    squeeze = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
    data = jsonl(CLEAN)
    for packed in (squeeze(data), squeeze(data[:500]) + squeeze(data[500:])):
        checked = check_bytes(packed, "math.jsonl" + suffix, chunks=range(1, len(packed), 7))
        assert checked.report.counts == {}
        assert checked.report.files[0].uploaded_bytes == len(packed)
        assert checked.report.files[0].bytes == len(data)
        assert same_copy(checked)
