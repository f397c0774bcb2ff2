"""Raw files, good and bad, as people upload them: what the trainer is given as they are.

A case is a training file, mostly of twenty rows of which one or all are odd; some bring further files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

WINDOW = 512
"""`max_seq_length` of every case: so that a row that is too long need not be long."""

ROWS = 20
_FIRST, _MIDDLE, _LAST = 0, 9, ROWS - 1
_POSITIONS = {"first": _FIRST, "middle": _MIDDLE}

Row = dict[str, Any]


class Case(NamedTuple):
    """Files of one job, by split; what is missing the trainer slices off the training file."""

    name: str
    files: dict[str, bytes]


def _user(content: Any, **keys: Any) -> Row:
    return {"role": "user", "content": content, **keys}


def _assistant(content: Any, **keys: Any) -> Row:
    return {"role": "assistant", "content": content, **keys}


def _system(content: Any) -> Row:
    return {"role": "system", "content": content}


def _row(number: int, **keys: Any) -> Row:
    messages = [_user(f"What is {number} and {number}?"), _assistant(f"It is {2 * number}.")]
    return {"messages": messages, **keys}


def _lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _good(count: int = ROWS, first: int = 0) -> list[Any]:
    return [_row(number) for number in range(first, first + count)]


def _with_row(row: Any, place: int) -> bytes:
    rows = _good()
    rows[place] = row
    return _lines(rows)


def _with_line(line: bytes, place: int = _MIDDLE) -> bytes:
    lines = _lines(_good()).splitlines()
    lines[place] = line
    return b"\n".join(lines) + b"\n"


def _every(make: Callable[[int], Any]) -> bytes:
    return _lines([make(number) for number in range(ROWS)])


def _chat(*messages: Any, **keys: Any) -> Row:
    return {"messages": list(messages), **keys}


_HI, _HELLO = _user("Hi"), _assistant("Hello")
_GOOD = _lines(_good())

_FRAMES: dict[str, bytes] = {
    "plain": _GOOD,
    "no final newline": _GOOD.rstrip(b"\n"),
    "Windows line ends": _GOOD.replace(b"\n", b"\r\n"),
    "line ends of CR alone": _GOOD.replace(b"\n", b"\r"),
    "byte order mark": b"\xef\xbb\xbf" + _GOOD,
    "byte order mark within": _GOOD.replace(b"\n", b"\n\xef\xbb\xbf", 1),
    "blank line first": b"\n" + _GOOD,
    "blank line in the middle": _GOOD.replace(b"\n", b"\n\n", 1),
    "blank line last": _GOOD + b"\n",
    "line of spaces": _GOOD.replace(b"\n", b"\n   \n", 1),
    "spaces around rows": _GOOD.replace(b"\n", b" \n ").rstrip(b" "),
    "one array on one line": json.dumps(_good()).encode(),
    "one array, indented": json.dumps(_good(), indent=2).encode(),
    "objects, indented": b"\n".join(json.dumps(row, indent=2).encode() for row in _good()),
    "empty file": b"",
    "only newlines": b"\n\n\n",
    "UTF-16": _GOOD.decode().encode("utf-16"),
    "gzip": bytes.fromhex("1f8b0800000000000003") + _GOOD,
    "CSV": b"question,answer\nHi,Hello\n" * ROWS,
    "two rows on a line": _GOOD.replace(b"}\n{", b"} {", 1),
}
_LINES: dict[str, bytes] = {
    "cut off": b'{"messages": [{"role": "user", "con',
    "comma at its end": json.dumps(_row(9)).encode() + b",",
    "comment": b"// a comment",
    "null": b"null",
    "number": b"3",
    "string": b'"Hi"',
    "array": b"[]",
    "empty object": b"{}",
    "single quotes": b"{'messages': []}",
    "comma before the bracket": b'{"messages": [{"role": "user", "content": "Hi"},]}',
    "key given twice": b'{"messages": [], ' + json.dumps(_row(9)).encode()[1:],
    "key of a message given twice": json.dumps(_row(9))
    .encode()
    .replace(b'"role"', b'"role": "system", "role"', 1),
    "NaN beside": b'{"score": NaN, ' + json.dumps(_row(9)).encode()[1:],
    "NaN for a text": b'{"messages": [{"role": "user", "content": NaN}, '
    b'{"role": "assistant", "content": "a"}]}',
    "Infinity beside": b'{"score": Infinity, ' + json.dumps(_row(9)).encode()[1:],
    "half a surrogate pair": json.dumps(_chat(_user("a"), _assistant("\ud83d"))).encode(),
    "not UTF-8": json.dumps(_row(9)).encode().replace(b"What", b"Wh\xe9t"),
    "NUL as an escape": json.dumps(_chat(_user("a\0b"), _HELLO)).encode(),
    "NUL as it is": json.dumps(_row(9)).encode().replace(b"What", b"Wh\0t"),
    "tab within a text": json.dumps(_row(9)).encode().replace(b"What", b"Wh\tt"),
    "U+2028": json.dumps(_chat(_user("a\u2028b"), _HELLO), ensure_ascii=False).encode(),
    "Python's None": b'{"messages": None}',
}
_ROWS: dict[str, Any] = {
    "no messages": {"title": "Hi"},
    "messages null": {"messages": None},
    "messages empty": {"messages": []},
    "messages text": {"messages": "Hi there"},
    "messages object": {"messages": _HI},
    "messages of JSON in text": {"messages": json.dumps([_HI, _HELLO])},
    "one message": _chat(_HI),
    "message null": _chat(_HI, None),
    "message text": _chat("Hi", "Hello"),
    "no role": _chat(_HI, {"content": "Hello"}),
    "no content": _chat(_HI, {"role": "assistant"}),
    "null role": _chat(_HI, {"role": None, "content": "Hello"}),
    "null content": _chat(_HI, _assistant(None)),
    "content number": _chat(_HI, _assistant(3)),
    "content parts": _chat(_user([{"type": "text", "text": "Hi"}]), _HELLO),
    "unknown role": _chat(_HI, {"role": "bot", "content": "Hello"}),
    "unknown first role": _chat({"role": "bot", "content": "Hi"}, _HELLO),
    "role in capitals": _chat({"role": "User", "content": "Hi"}, {"role": "Assistant", "content": "Hello"}),
    "system and assistant": _chat(_system("Be brief."), _HELLO),
    "assistant first": _chat(_HELLO, _HI, _HELLO),
    "users in a row": _chat(_HI, _user("Are you there?"), _HELLO),
    "assistants in a row": _chat(_HI, _HELLO, _assistant("Again")),
    "user last": _chat(_HI, _HELLO, _user("Bye")),
    "users alone": _chat(_HI, _user("Are you there?")),
    "system in the middle": _chat(_HI, _system("Be brief."), _HELLO),
    "question, answer and two questions": _chat(_HI, _HELLO, _user("Well?"), _user("Well?"), _HELLO),
    "answer before a question": _chat(_HELLO, _user("Bye")),
    "two systems": _chat(_system("Be brief."), _system("Be kind."), _HI, _HELLO),
    "empty answer": _chat(_HI, _assistant("")),
    "blank answer": _chat(_HI, _assistant("  ")),
    "empty question": _chat(_user(""), _HELLO),
    "extra key": _row(9, id="x"),
    "extra key of a message": _chat(_HI, _assistant("Hello", weight=0)),
    "tool call": _chat(
        _HI, _assistant(None, tool_calls=[{"id": "1", "type": "function"}]), _assistant("Hello")
    ),
    "tool message": _chat(_HI, {"role": "tool", "content": "3"}, _HELLO),
    "tools": _row(9, tools=[{"type": "function"}]),
    "long question": _chat(_user("word " * 700), _assistant("Yes.")),
    "long answer": _chat(_HI, _assistant("word " * 700)),
    "long second question": _chat(_HI, _HELLO, _user("word " * 700), _assistant("Yes.")),
    "long system text": _chat(_system("word " * 700), _HI, _HELLO),
    "mark of an assistant's turn in a question": _chat(_user("Say <|assistant|> to me"), _HELLO),
    "mark of an end in an answer": _chat(_HI, _assistant("Hello<|end|> you")),
}
_ALL: dict[str, Callable[[int], Any]] = {
    "extra keys": lambda n: _row(n, id=str(n), source="web"),
    "extra key null": lambda n: _row(n, extra=None),
    "extra key of two types": lambda n: _row(n, extra=n if n % 2 else str(n)),
    "extra key of whole numbers and others": lambda n: _row(n, score=n if n % 2 else n + 0.5),
    "extra object with other keys each": lambda n: _row(n, meta={f"k{n}": n}),
    "prompt as in ultrachat": lambda n: {"prompt": "Hi", **_row(n)},
    "tools null": lambda n: _row(n, tools=None),
    "tools empty": lambda n: _row(n, tools=[]),
    "tools": lambda n: _row(n, tools=[{"type": "function", "function": {"name": "f"}}]),
    "names": lambda n: _chat(_user(f"Hi {n}", name="Ann"), _HELLO),
    "weights": lambda n: _chat(_user(f"Hi {n}"), _assistant("Hello", weight=1)),
    "messages null": lambda _: {"messages": None},
    "messages text": lambda n: {"messages": f"Hi there {n}"},
    "messages of JSON in text": lambda n: {"messages": json.dumps(_row(n)["messages"])},
    "content parts": lambda n: _chat(_user([{"type": "text", "text": f"Hi {n}"}]), _assistant("Hello")),
    "one message": lambda n: _chat(_user(f"Hi {n}")),
    "users alone": lambda n: _chat(_user(f"Hi {n}"), _user("Hello?")),
    "system texts": lambda n: _chat(_system("Be brief."), _user(f"Hi {n}"), _HELLO),
    "long questions": lambda n: _chat(_user(f"{n} " + "word " * 700), _assistant("Yes.")),
    "prompt and completion": lambda n: {"prompt": f"Hi {n}", "completion": "Hello"},
    "ShareGPT": lambda n: {
        "conversations": [{"from": "human", "value": f"Hi {n}"}, {"from": "gpt", "value": "Hello"}]
    },
    "texts": lambda n: {"text": f"Once upon a time {n}"},
    "capital key": lambda n: {"Messages": _row(n)["messages"]},
    "equal rows": lambda _: _row(1),
}
_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"properties": {key: {"type": "string"}}}}}
    for name, key in (("weather", "city"), ("time", "zone"))
]


def _tool_call(number: int, *after: Row, content: str | None = "") -> Row:
    """A row in which the assistant calls a function, of which the others call another."""
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    if number % 2:
        function = {"name": "time", "arguments": '{"zone": "UTC"}'}
    call = {"id": f"c{number}", "type": "function", "function": function}
    result = {"role": "tool", "tool_call_id": f"c{number}", "content": "RESULT"}
    calling = _assistant(content, tool_calls=[call])
    return _chat(_user(f"QUESTION {number}"), calling, *([result, *after] if after else []), tools=_TOOLS)


_ANSWER = _assistant("ANSWER")
TOOL_CALLS: dict[str, Callable[[int], Any]] = {
    "a call": _tool_call,
    "a call, content null": lambda n: _tool_call(n, content=None),
    "a call and its result": lambda n: _tool_call(n, _ANSWER),
    "a call, its result and another turn": lambda n: _tool_call(
        n, _ANSWER, _user("SECOND QUESTION"), _assistant("SECOND ANSWER")
    ),
}
"""Every row has it; of these the record also has what of a row is learned."""
_LAST_TOO = (
    "one message",
    "unknown role",
    "users alone",
    "long question",
    "system and assistant",
    "extra key",
)


def _first_rows() -> Iterator[Case]:
    for count in (9, 10, 11, 12, 13, 15, 19, 101):
        yield Case(f"{count} rows", {"train": _lines(_good(count))})


def _several_files() -> Iterator[Case]:
    train, few, more = _lines(_good(12)), _lines(_good(2, 100)), _lines(_good(3, 200))
    yield Case("train and validation", {"train": train, "validation": few})
    yield Case("train and test", {"train": train, "test": few})
    yield Case("three files", {"train": train, "validation": few, "test": more})
    yield Case(
        "three files, nine rows to train", {"train": _lines(_good(9)), "validation": few, "test": more}
    )
    yield Case("validation without rows", {"train": train, "validation": b"", "test": more})
    single = _lines([_chat(_user(f"Hi {n}")) for n in range(3)])
    yield Case("validation of single messages", {"train": train, "validation": single, "test": more})
    yield Case("test of single messages", {"train": train, "validation": few, "test": single})
    for name in ("messages null", "no messages", "null content", "users in a row", "long question"):
        test = _lines([_ROWS[name], *_good(3)])
        yield Case(f"test: {name}", {"train": train, "validation": few, "test": test})
    long = _chat(_user("word " * 700), _assistant("Yes."))
    for name, rows in {"first": [long, *_good(3)], "last": [*_good(3), long], "only": [long]}.items():
        files = {"train": train, "validation": _lines(rows), "test": more}
        yield Case(f"validation with a long question {name}", files)


def cases() -> Iterator[Case]:
    """Every case; a name is given once."""
    for name, data in _FRAMES.items():
        yield Case(name, {"train": data})
    for name, line in _LINES.items():
        yield Case(f"line: {name}", {"train": _with_line(line)})
    for name, row in _ROWS.items():
        for where, position in _POSITIONS.items():
            yield Case(f"{where} row: {name}", {"train": _with_row(row, position)})
    for name in _LAST_TOO:
        rows = _good(12, 100)
        files = {"train": _lines([*_good(12), _ROWS[name]]), "validation": _lines(rows), "test": _lines(rows)}
        yield Case(f"last row: {name}", files)
    for name, make in _ALL.items():
        yield Case(f"every row: {name}", {"train": _every(make)})
    for name, make in TOOL_CALLS.items():
        yield Case(f"tool calls: {name}", {"train": _every(make)})
    yield from _first_rows()
    yield from _several_files()
