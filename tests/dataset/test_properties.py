"""What holds for any bytes at all."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.dataset import RowPolicy, Split, ValidationRules, report_html
from shared.domain.dataset.lines import LongLine, read_lines
from tests.dataset.checking import (
    Checked,
    assistant,
    check_bytes,
    check_lines,
    good_rows,
    jsonl,
    row,
    system,
    user,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
CONTENT = TEXT.filter(lambda text: not text.isspace())
KEY = st.text(max_size=10) | st.sampled_from(["\ud800", "a\udfff"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=8,
)
ROLE = st.sampled_from(["system", "user", "assistant", "tool", "developer", "bot", "", None, 1])
MESSAGE = (
    st.fixed_dictionaries({"role": ROLE, "content": st.text(max_size=5) | JSON}, optional={"\ud800": JSON})
    | JSON
)
ROW = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=4)}, optional={"prompt": JSON, "weight": JSON, "\udc00": JSON}
)
FRAGMENT = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\xff",
        b'"',
        b"\\",
        b"{",
        b"}",
        b" ",
        b"\\ud800",
        b'{"\\ud800":1,"\\ud800":2}',
        b"NaN",
        b"1e999",
    ]
)
LINE = st.binary(max_size=30) | FRAGMENT | ROW.map(lambda value: json.dumps(value).encode())


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A conversation that has nothing wrong with it."""
    turns = [
        message
        for _ in range(draw(st.integers(1, 4)))
        for message in (user(draw(CONTENT)), assistant(draw(CONTENT)))
    ]
    return [system(draw(CONTENT)), *turns] if draw(st.booleans()) else turns


def outcome(checked: Checked) -> tuple[bytes, dict[Split, bytes]]:
    """Everything that a check says and writes."""
    return msgspec.json.encode(checked.report), checked.copy


@given(lines=st.lists(LINE, max_size=12), gzipped=st.sampled_from(["", ".gz", ".zst"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_a_report(lines: list[bytes], gzipped: str) -> None:
    """Whatever is uploaded, validation answers with a report that can be written down, never an exception."""
    checked = check_bytes(b"\n".join(lines), f"x.jsonl{gzipped}")
    decoded = msgspec.json.decode(msgspec.json.encode(checked.report), type=type(checked.report))
    assert decoded == checked.report
    assert report_html(checked.report).endswith("</html>\n")
    assert checked.report.rows == checked.report.rows_kept + checked.report.rows_dropped


@given(
    lines=st.lists(LINE, max_size=8),
    cuts=st.lists(st.integers(0, 2_000), max_size=12),
    limit=st.sampled_from([20, 60, 1 << 22]),
)
@settings(max_examples=150, deadline=None)
def test_chunk_boundaries_change_nothing(lines: list[bytes], cuts: list[int], limit: int) -> None:
    """However the bytes arrive, report and copy are the same."""
    data = b"\n".join([*lines, *good_rows(3)])
    rules = ValidationRules(max_line_bytes=limit)
    whole = check_bytes(data, rules=rules)
    cut = check_bytes(data, rules=rules, chunks=[position for position in cuts if position < len(data)])
    assert outcome(cut) == outcome(whole)


PIECE = 128 * 1024  # in which lines are cut


@given(
    sizes=st.lists(
        st.integers(0, 200)
        | st.integers(4_990, 5_010)
        | st.integers(PIECE - 40, PIECE + 40)
        | st.integers(2 * PIECE - 40, 3 * PIECE),
        min_size=1,
        max_size=5,
    ),
    cuts=st.lists(st.integers(0, 6) | st.integers(-30, 30).map(lambda near: PIECE + near), max_size=6),
    limit=st.sampled_from([100, 5_000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 7, 1 << 22]),
    ended=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_lines_are_cut_alike_around_the_size_of_a_piece(
    sizes: list[int], cuts: list[int], limit: int, ended: bool
) -> None:
    """Lines about as long as a piece, in chunks about as long, are the lines that a plain split finds."""
    data = b"\n".join(b"%d" % (number % 10) * size for number, size in enumerate(sizes)) + b"\n" * ended
    chunks = []
    rest = data
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    found: list[bytes | int] = []
    for batch in read_lines([*chunks, rest], limit):
        found += [batch.length] if isinstance(batch, LongLine) else batch
    lines = data.split(b"\n")
    plain = [line + b"\n" for line in lines[:-1]] + lines[-1:] * bool(lines[-1])
    lengths = [len(line.removesuffix(b"\n")) for line in plain]
    assert found == [line if length <= limit else length for line, length in zip(plain, lengths, strict=True)]


@given(st.lists(conversations(), min_size=1, max_size=25), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_valid_rows_come_out_equal(rows: list[list[dict[str, Any]]], compact: bool, escaped: bool) -> None:
    """Every conversation of a valid dataset is in the copy as often as it was uploaded, unchanged."""
    separators = (",", ":") if compact else None
    lines = [
        json.dumps({"messages": messages}, ensure_ascii=escaped, separators=separators).encode()
        for messages in rows
    ]
    checked = check_lines(lines)
    assert not [code for code in checked.report.counts if code[0] == "E" and code < "E3"]
    written = [line["messages"] for split in Split for line in checked.rows(split)]
    assert sorted(map(json.dumps, written)) == sorted(
        json.dumps([dict(sorted(message.items())) for message in messages]) for messages in rows
    )


@given(ROW)
@settings(max_examples=150, deadline=None)
def test_both_ways_to_read_a_row_agree(value: dict[str, Any]) -> None:
    """A row means the same whether its layout lets it take the fast way or not."""
    verdicts = set()
    for line in (
        json.dumps(value).encode(),
        json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"),
        json.dumps(value, separators=(",", ":")).encode(),
        json.dumps(value, indent=1).replace("\n", " ").encode(),
    ):
        checked = check_lines([*good_rows(12), line])
        verdicts.add((checked.report.rows_kept, tuple(sorted(checked.report.counts.items()))))
    assert len(verdicts) == 1


@given(st.lists(st.sampled_from([*good_rows(15), b"{}", row(user("x"))]), min_size=30, max_size=60))
@settings(max_examples=50, deadline=None)
def test_dropping_and_rejecting_agree_on_the_rows(lines: list[bytes]) -> None:
    """The row policy decides about the dataset, never about which rows are usable."""
    strict = check_bytes(jsonl(lines))
    drop = check_bytes(
        jsonl(lines), rules=ValidationRules(row_policy=RowPolicy.DROP, max_dropped_percent=100)
    )
    assert strict.copy == drop.copy
    assert strict.report.rows_dropped == drop.report.rows_dropped
