"""A key that is given twice is always found, however the line's other bytes make up for it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.dataset.conversation import RowReader
from tests.dataset.checking import RULES, check_lines, good_rows

LAYOUTS = [(",", ":"), (", ", ": "), (",", ": "), (" , ", ":")]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
VALUE = (
    TEXT
    | st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([1e5, 1e15, 0.5])
    | st.dictionaries(TEXT, TEXT, max_size=2)
)
Pairs = list[tuple[str, Any]]


class Object:
    """A JSON object whose keys may repeat."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs


def written(value: Any, comma: str, colon: str, escaped: bool) -> str:
    """JSON in a given layout; floats as short as JSON can write them."""
    if isinstance(value, Object):
        members = (
            json.dumps(key, ensure_ascii=escaped) + colon + written(item, comma, colon, escaped)
            for key, item in value.pairs
        )
        return "{" + comma.join(members) + "}"
    if isinstance(value, list):
        return "[" + comma.join(written(item, comma, colon, escaped) for item in value) + "]"
    if isinstance(value, float) and value >= 1:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return json.dumps(value, ensure_ascii=escaped, separators=(comma, colon))


@st.composite
def rows(draw: st.DrawFn) -> tuple[Pairs, list[Object]]:
    """A row without faults, and its messages."""
    messages = []
    for number in range(2 * draw(st.integers(1, 6))):
        role = "assistant" if number % 2 else "user"
        pairs = [("role", role), ("content", "x" + draw(TEXT))]
        messages.append(Object(draw(st.permutations(pairs))))
    keys = draw(st.lists(st.sampled_from(["prompt", "id", "a", "é", '"']), unique=True, max_size=3))
    extra = [(key, draw(VALUE)) for key in keys]
    return draw(st.permutations([("messages", messages), *extra])), messages


@st.composite
def lines(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A line in some layout, and whether any of its objects has a key twice."""
    pairs, messages = draw(rows())
    repeats = draw(st.integers(0, 3))
    row = Object(list(pairs))
    for _ in range(repeats):
        target = draw(st.sampled_from([row, *messages]))
        key, value = draw(st.sampled_from(target.pairs))
        if key != "messages":
            value = draw(st.just(value) | VALUE)
        target.pairs.insert(draw(st.integers(0, len(target.pairs))), (key, value))
    comma, colon = draw(st.sampled_from(LAYOUTS))
    return written(row, comma, colon, draw(st.booleans())).encode(), repeats > 0


@given(lines())
@settings(max_examples=400, deadline=None)
def test_a_repeated_key_is_found_wherever_it_is(case: tuple[bytes, bool]) -> None:
    """`E106` is reported exactly for the rows in which an object has a key twice."""
    line, repeated = case
    report = check_lines([*good_rows(12), line]).report
    assert ("E106" in report.counts) == repeated
    assert not (repeated and RowReader(RULES).read_clean(line + b"\n"))


@given(st.integers(1, 6), st.integers(0, 60), st.sampled_from(["role", "content", "messages", "p", "q"]))
@settings(max_examples=300, deadline=None)
def test_no_length_of_a_repeated_value_hides_it(pairs: int, length: int, key: str) -> None:
    """Not even a value of the very length at which the bytes add up to another layout's."""
    messages = [
        Object([("role", "assistant" if number % 2 else "user"), ("content", "abc")])
        for number in range(2 * pairs)
    ]
    row = Object([("messages", messages), ("p", 1e15), ("q", "q")])
    target = row if key in ("messages", "p", "q") else messages[-1]
    target.pairs.insert(0, (key, "x" * length))
    assert RowReader(RULES).read_clean(written(row, ",", ":", escaped=False).encode() + b"\n") is None


def _four_turns(first: str, rest: str = "") -> bytes:
    others = (
        ',{"role":"assistant","content":"a"},{"role":"user","content":"b"},{"role":"assistant","content":"c"}'
    )
    return b'{"messages":[' + (first + others).encode() + b"]" + rest.encode() + b"}"


@pytest.mark.parametrize(
    "line",
    [
        _four_turns('{"role":"system","role":"user","content":"x"}'),
        _four_turns('{"content":"abc","content":"b","role":"user"}'),
        (
            b'{"messages":[{"role":"xx","role":"system","content":"s"},{"role":"user","content":"u"},'
            b'{"role":"assistant","content":"a"}]}'
        ),
        # A number that is written shorter than it is read back, and saves what the second key costs.
        _four_turns('{"role":"x","role":"user","content":"x"}', ',"n":1e12'),
        # Escaped quotation marks, which save as many as the second key has.
        _four_turns('{"role":"xx","role":"user","content":"\\u0022\\u0022\\u0022\\u0022"}'),
        _four_turns('{"content":"x","role":"user"}', ',"n":{"\\u0022\\u0022":1},"p":1,"p":1'),
    ],
)
def test_lines_made_to_hide_a_repeated_key(line: bytes) -> None:
    """Lines whose other bytes make up for the repeated key are faulty all the same."""
    report = check_lines([*good_rows(12), line]).report
    assert report.counts["E106"] == 1
    assert report.rows_kept == 12


def test_a_repeated_key_among_very_many_is_found() -> None:
    """A hundred thousand keys take a moment: each is looked at once, not once for every other."""
    keys = b",".join(b'"k%d":1' % number for number in range(100_000))
    report = check_lines([*good_rows(12), b"{" + keys + b',"k0":2}']).report
    assert report.counts["E106"] == 1


def test_every_common_layout_is_read_the_fast_way() -> None:
    """Compact, spaced, escaped and nested rows need no closer look, whatever marks their text has."""
    row = {
        "id": 1.5,
        "meta": {"tags": ['"quoted"', "é"]},
        "messages": [{"role": "user", "content": 'Say "é\\"\n.'}, {"role": "assistant", "content": "[é]"}],
    }
    for escaped in (True, False):
        for separators in LAYOUTS:
            line = json.dumps(row, ensure_ascii=escaped, separators=separators).encode() + b"\n"
            assert RowReader(RULES).read_clean(line) is not None
            assert RowReader(RULES).read_clean(line[:-1]) is None
            assert RowReader(RULES).read_clean(line[:-1] + b" \n") is None
            assert RowReader(RULES).read_clean(b" " + line) is None
