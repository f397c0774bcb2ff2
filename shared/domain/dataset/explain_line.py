"""The slow way to read a line: says everything that is wrong with it, and what the snapshot repairs.

Messages name the place and what to do. They quote no more of the line than role and key names.
"""

import json
from collections import Counter
from collections.abc import Collection, Generator, Iterator
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn

from .codes import Code
from .conversation import Message
from .layouts import as_messages

BOM = b"\xef\xbb\xbf"
_ROLES = frozenset(("system", "user", "assistant"))
_TOOL_KEYS = frozenset(("tool_calls", "tool_call_id", "function_call"))
_TOOL_ROLES = frozenset(("tool", "function"))
_ROW_TOOL_KEYS = ("tools", "functions")


class Finding(NamedTuple):
    """One thing about a line."""

    code: Code
    message: str


class Explanation(NamedTuple):
    """What a line holds and what is to be said about it."""

    messages: list[Message]  # empty if any finding is an error
    findings: list[Finding]


class _Fault(Exception):  # noqa: N818 - ends the reading of one line, never leaves this module
    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(code, message)


class _Object(dict[str, Any]):
    """A JSON object that remembers which keys were given twice."""

    repeated: tuple[str, ...] = ()


def explain_line(line: bytes, before: bytes = b"") -> Explanation:
    """Read a line that is not clean.

    Args:
        line: One line without its line end and without spaces around it.
        before: What was taken away before it, so that places are those of the file.

    Returns:
        Its conversation, if it has one that can be trained on, and every finding, at most one per code.
    """
    findings: dict[Code, Finding] = {}
    messages: list[Message] = []
    try:
        row = _parse(line, before)
        for finding in _check_row(row, messages):
            findings.setdefault(finding.code, finding)
    except _Fault as fault:
        findings.setdefault(fault.finding.code, fault.finding)
    if any(code.is_error for code in findings):
        messages = []
    return Explanation(messages, list(findings.values()))


def _parse(line: bytes, before: bytes) -> _Object:
    columns = len(before.replace(BOM, b""))  # which no editor counts
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        hint = " (the file looks like UTF-16)" if line[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise _Fault(
            Code.INVALID_UTF8,
            f"byte {len(before) + error.start + 1} is not UTF-8{hint}; save the file as UTF-8",
        ) from None
    if "\0" in text:
        column = columns + text.index("\0") + 1
        raise _Fault(Code.NUL_CHARACTER, f"NUL character in column {column}; remove it")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=float)
    except json.JSONDecodeError as error:
        raise _Fault(Code.INVALID_JSON, _json_message(error, columns)) from None
    except RecursionError:
        raise _Fault(Code.INVALID_JSON, "values are nested too deeply") from None
    if isinstance(value, _Object):
        return value
    hint = "; write one object per line instead of one array" if isinstance(value, list) else ""
    raise _Fault(Code.NOT_AN_OBJECT, f"the line holds {_kind(value)}, not an object{hint}")


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    value = _Object(pairs)
    if len(value) != len(pairs):
        times = Counter(key for key, _ in pairs)
        value.repeated = tuple(key for key in value if times[key] > 1)
    return value


def _no_constant(name: str) -> NoReturn:
    raise _Fault(Code.INVALID_JSON, f"{name} is not a JSON value; write null or a number")


def _json_message(error: json.JSONDecodeError, columns: int) -> str:
    if error.doc.strip() in ("[", "{"):
        return "the file is JSON over several lines; write one object per line (JSON Lines)"
    if error.doc[: error.pos].rstrip(" \t").endswith("\r"):
        return "the lines end with CR alone, as on classic Mac OS; end them with LF"
    return f"column {columns + error.pos + 1}: {error.msg[:1].lower()}{error.msg[1:]}"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict):
        return "an object"
    return {list: "a list", str: "a string", float: "a number"}[type(value)]


def _check_row(row: _Object, messages: list[Message]) -> Iterator[Finding]:
    """Yield the findings of a row and fill in its messages."""
    turns, used_keys, layout = as_messages(row)
    yield from _check_repeated(row, used_keys)
    if layout is not None:
        yield Finding(layout, f"read from {quoted(used_keys)}")
    if not used_keys:
        raise _Fault(Code.NO_MESSAGES, f'the row has {quoted(row) or "no keys"}, but no "messages"')
    extra_keys = [key for key in row if key not in used_keys]
    if extra_keys:
        yield Finding(Code.EXTRA_KEYS, f"left out {quoted(extra_keys)}")
    if any(row.get(key) for key in _ROW_TOOL_KEYS):
        yield Finding(Code.TOOL_CALLS, "the row defines tools, which these models' templates skip")
    if "weight" in row:
        yield Finding(Code.WEIGHT_IGNORED, "the trainer learns from every row alike; weight has no effect")
    if not isinstance(turns, list):
        raise _Fault(Code.MESSAGES_NOT_A_LIST, f'"messages" is {_kind(turns)}, not a list')
    if len(turns) < 2:
        yield Finding(Code.TOO_FEW_MESSAGES, f"{len(turns)} of the 2 messages that a conversation needs")
    roles: list[str | None] = []
    for number, turn in enumerate(turns, 1):
        role = yield from _check_message(turn, number, messages)
        roles.append(role)
    yield from _check_order(roles)


def _check_repeated(row: _Object, used_keys: Collection[str]) -> Iterator[Finding]:
    if row.repeated:
        yield Finding(Code.DUPLICATE_KEY, f"the row has {quoted(row.repeated)} twice; keep one")
    for key in used_keys:
        turns = row.get(key)
        for number, turn in enumerate(turns if isinstance(turns, list) else (), 1):
            if isinstance(turn, _Object) and turn.repeated:
                yield Finding(
                    Code.DUPLICATE_KEY, f"message {number} has {quoted(turn.repeated)} twice; keep one"
                )


def _check_message(
    turn: object, number: int, messages: list[Message]
) -> Generator[Finding, None, str | None]:
    """Yield the findings of one message; return its role if that is a known one."""
    if not isinstance(turn, dict):
        yield Finding(Code.MESSAGE_NOT_AN_OBJECT, f"message {number} is {_kind(turn)}, not an object")
        return None
    role, content = turn.get("role"), turn.get("content")
    if any(turn.get(key) for key in _TOOL_KEYS) or (isinstance(role, str) and role in _TOOL_ROLES):
        yield Finding(
            Code.TOOL_CALLS, f"message {number} is part of a tool call, which these models' templates skip"
        )
        return None
    yield from _check_keys(turn, number)
    if isinstance(content, str):
        yield from _check_content(content, number)
    if role == "developer":
        yield Finding(Code.DEVELOPER_ROLE, f'message {number}: "developer" is the newer name of "system"')
        role = "system"
    if not isinstance(role, str):
        return None
    if role not in _ROLES:
        known = "system, user or assistant"
        yield Finding(Code.UNKNOWN_ROLE, f"message {number} has role {role[:40]!r}; use {known}")
        return None
    if isinstance(content, str):
        messages.append({"role": role, "content": content})
    return role


def _check_keys(turn: dict[str, Any], number: int) -> Iterator[Finding]:
    for key in ("role", "content"):
        if key not in turn:
            yield Finding(Code.MISSING_KEY, f'message {number} has no "{key}"')
        elif not isinstance(turn[key], str):
            yield Finding(Code.WRONG_TYPE, f'message {number}: "{key}" is {_kind(turn[key])}, not a string')
    extra = [key for key in turn if key not in ("role", "content")]
    if "weight" in extra:
        yield Finding(
            Code.WEIGHT_IGNORED,
            f"message {number}: the trainer learns from every answer; weight has no effect",
        )
    if extra:
        yield Finding(Code.EXTRA_MESSAGE_KEYS, f"message {number}: left out {quoted(extra)}")


def _check_content(content: str, number: int) -> Iterator[Finding]:
    if not content or content.isspace():
        yield Finding(Code.EMPTY_CONTENT, f"message {number} has no text")
    if "\0" in content:
        yield Finding(Code.NUL_CHARACTER, f"message {number} contains a NUL character (\\u0000); remove it")
    if not content.isascii() and _has_surrogate(content):
        yield Finding(
            Code.UNPAIRED_SURROGATE,
            f"message {number} contains half of a \\u surrogate pair; write both halves",
        )


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_order(roles: list[str | None]) -> Iterator[Finding]:
    """Yield what is wrong with the order of turns; an unknown role is a fault of its own, and not judged."""
    if not roles:
        return
    for number, role in enumerate(roles, 1):
        if role == "system" and number > 1:
            yield Finding(
                Code.SYSTEM_NOT_FIRST, f"message {number} is a system message; only the first may be one"
            )
            break
    turns = [(number, role) for number, role in enumerate(roles, 1) if role != "system"]
    if turns and turns[0][1] == "assistant":
        yield Finding(Code.FIRST_NOT_USER, f"message {turns[0][0]} is the assistant's; the user speaks first")
    for (_, before), (number, role) in pairwise(turns):
        if role is not None and role == before:
            yield Finding(
                Code.ROLES_DO_NOT_ALTERNATE,
                f"messages {number - 1} and {number} are both the {role}'s; join them or add a turn",
            )
            break
    if roles[-1] in ("user", "system"):
        yield Finding(Code.LAST_NOT_ASSISTANT, f"the last message is the {roles[-1]}'s; end with the answer")


def quoted(keys: Collection[str]) -> str:
    """Names of keys, each short and in quotes, at most eight of them; half a surrogate pair as its escape."""
    names = ", ".join(json.dumps(key[:40], ensure_ascii=False) for key in list(keys)[:8])
    return names.encode(errors="backslashreplace").decode() + (", …" if len(keys) > 8 else "")
