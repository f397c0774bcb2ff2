"""A conversation's tool calls and their results as text, each call matched with its result."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from .codes import Code
from .keys import CONTENT_KEYS, ROLE_KEYS, ROLES, is_empty
from .naming import kind
from .parsing import Fault
from .turns import NotTextError, join_parts

Row = dict[str, Any]

_RESULT_ROLES = frozenset(("tool", "function", "observation", "tool_result", "ipython"))
_CALL_ROLES = frozenset(("function_call", "tool_call"))
_RESULT_KEYS = frozenset(("tool_call_id", "name", "id"))
_CALL_KEYS = frozenset(("tool_calls", "function_call"))


class _Call:
    """A call, and its result once it is there."""

    def __init__(self, id_: Any, name: str) -> None:
        self.id = id_ if isinstance(id_, str) else None
        self.name = name
        self.result: str | None = None


class TurnWriter:
    """Writes one conversation."""

    def __init__(self, declared: Sequence[str]) -> None:
        """Set up; `declared` are the names of the functions that may be called."""
        self._declared = declared
        self._calls: list[_Call] = []  # those of the last answer, until all have their results
        self._others: Row = {}  # keys of the turns with their results
        self._written: list[Row] = []

    def write(self, given: Sequence[Any]) -> list[Row]:
        """Write turns, in the order and with the other keys that they have.

        Raises:
            Fault: A call or a result does not match the others.
        """
        for number, turn in enumerate(given, 1):
            if not isinstance(turn, dict):
                raise Fault(Code.MESSAGE_NOT_AN_OBJECT, f"message {number} is {kind(turn)}, not an object")
            self._take(turn, number)
        if any(call.result is not None for call in self._calls):
            name = self._waiting().name[:40]
            raise tool_fault(f"the call of {name!r} at the end has no result, though others have")
        return self._written

    def _waiting(self) -> _Call:
        return next(call for call in self._calls if call.result is None)

    def _take(self, turn: Row, number: int) -> None:
        role_key = next((key for key in ROLE_KEYS if key in turn), "role")
        content_key = next((key for key in CONTENT_KEYS if key in turn), "content")
        given, content = turn.get(role_key), turn.get(content_key)
        role = given if isinstance(given, str) else ""
        rest = {key: value for key, value in turn.items() if key not in (role_key, content_key)}
        if role in _RESULT_ROLES:
            self._result(turn.get("tool_call_id"), turn.get("name"), content, number)
            others = {key: value for key, value in rest.items() if key not in _RESULT_KEYS}
            self._end_results(role_key, content_key, others)
            return
        if results := parts_of(content, "tool_result"):
            if not isinstance(content, list) or len(results) != len(content):
                raise tool_fault(f"message {number} has results of calls beside other parts; split it")
            for part in results:
                self._result(part.get("tool_use_id"), None, part.get("content"), number)
            self._end_results(role_key, content_key, rest)
            return
        if self._calls:
            name = self._waiting().name[:40]
            raise tool_fault(f"message {number} comes before the result of the call of {name!r}")
        calls, text = self._calls_of(turn, role, content, number)
        if calls:
            called_by = "assistant" if role in _CALL_ROLES else role
            if ROLES.get(called_by) != "assistant":
                raise tool_fault(f"message {number} calls a function, but is not the assistant's")
            given, content = called_by, "\n".join([text, *calls] if text else calls)
            rest = {key: value for key, value in rest.items() if key not in _CALL_KEYS}
        self._written.append({role_key: given, content_key: content, **rest})

    def _calls_of(self, turn: Row, role: str, content: Any, number: int) -> tuple[list[str], str]:
        """A turn's calls as texts, and its other words."""
        found: list[tuple[Any, Any, Any]] = []
        if role in _CALL_ROLES:
            value = from_json(content, f"message {number}")
            for call in value if isinstance(value, list) else [value]:
                named = call if isinstance(call, dict) else {}
                found.append((None, named.get("name"), named.get("arguments", named.get("parameters"))))
            content = ""
        given = turn.get("tool_calls")
        if not is_empty(given) and not isinstance(given, list):
            raise tool_fault(f'message {number}: "tool_calls" is {kind(given)}, not a list')
        for call in given or ():
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                raise tool_fault(f'message {number}: a tool call has no "function"')
            found.append((call.get("id"), function.get("name"), function.get("arguments")))
        function = turn.get("function_call")
        if not is_empty(function):
            if not isinstance(function, dict):
                raise tool_fault(f'message {number}: "function_call" is {kind(function)}, not an object')
            found.append((None, function.get("name"), function.get("arguments")))
        if uses := parts_of(content, "tool_use"):
            found += [(part.get("id"), part.get("name"), part.get("input")) for part in uses]
            content = [part for part in content if part not in uses]
        calls = [self._call(*call, number) for call in found]
        return calls, text_of(content, number) if calls else ""

    def _call(self, id_: Any, name: Any, arguments: Any, number: int) -> str:
        if not isinstance(name, str) or not name:
            raise tool_fault(f"message {number} calls a function without a name")
        if name not in self._declared:
            declared = f"the row declares {', '.join(self._declared)[:80] or 'none'}"
            raise tool_fault(f"message {number} calls {name[:40]!r}; {declared}")
        if any(id_ is not None and call.id == id_ for call in self._calls):
            raise tool_fault(f"message {number} has two calls with the id {str(id_)[:40]!r}")
        written = arguments.strip() if isinstance(arguments, str) else to_json(arguments)
        if not isinstance(from_json(written, f"message {number}, arguments of {name[:40]!r},"), dict):
            raise tool_fault(f"message {number}: the arguments of {name[:40]!r} are not a JSON object")
        self._calls.append(_Call(id_, name))
        return f'<tool_call>\n{{"name": {json.dumps(name)}, "arguments": {written}}}\n</tool_call>'

    def _result(self, id_: Any, name: Any, content: Any, number: int) -> None:
        """Give a call its result: by its id, or by its name and order where calls have no ids."""
        waiting = [call for call in self._calls if call.result is None]
        matching = [
            call
            for call in waiting
            if call.id == id_ or (None in (call.id, id_) and (name is None or call.name == name))
        ]
        if not matching or (id_ is None and matching[0].id is not None and len(waiting) > 1):
            which = "no id" if id_ is None else f"id {str(id_)[:40]!r}"
            raise tool_fault(f"message {number} has a result ({which}) that no call before it waits for")
        matching[0].result = f"<tool_response>\n{text_of(content, number)}\n</tool_response>"

    def _end_results(self, role_key: str, content_key: str, others: Row) -> None:
        """Write the results in the order of their calls, once all are there, with their turns' other keys."""
        self._others.update(others)
        results = [call.result for call in self._calls if call.result is not None]
        if len(results) == len(self._calls):
            self._written.append({role_key: "user", content_key: "\n".join(results), **self._others})
            self._calls, self._others = [], {}


def parts_of(content: Any, type_: str) -> list[Row]:
    """The parts of a content that are of a type."""
    parts = content if isinstance(content, list) else ()
    return [part for part in parts if isinstance(part, dict) and part.get("type") == type_]


def text_of(content: Any, number: int) -> str:
    """A content as one text: parts joined, other values as JSON, nothing as an empty text."""
    if is_empty(content):
        return ""
    if isinstance(content, str):
        return content
    try:
        return join_parts(content) if isinstance(content, list) else to_json(content)
    except NotTextError:
        raise tool_fault(f"message {number} has a part that is no text beside its calls or results") from None


def to_json(value: Any) -> str:
    """JSON on one line, a blank after each comma and colon."""
    try:
        return msgspec.json.format(orjson.dumps(value), indent=0).decode()
    except TypeError:  # half a surrogate pair, or too many levels
        raise tool_fault("a call, a result or a function cannot be written as JSON") from None


def from_json(text: Any, what: str) -> Any:
    """What a text holds as JSON; `what` names it if it holds none."""
    try:
        return orjson.loads(text)
    except (ValueError, TypeError):
        raise tool_fault(f"{what} is not JSON") from None


def tool_fault(message: str) -> Fault:
    """What ends the reading of a row whose tool calls do not match."""
    return Fault(Code.TOOL_MISMATCH, message)
