"""The slow way to read a line: says everything that is wrong with it, and what the snapshot repairs.

Messages name the place and what to do. They quote no more of the line than role and key names.
"""

import json
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import orjson

from .codes import Code
from .conversation import Message, RowReader, asks_first, encode_messages, is_placeholder
from .keys import TOOL_ROLES, learns_fully
from .markup import (
    ends_in_open_turn,
    find_markup,
    has_json_messages,
    has_media_mark,
    strip_open_turn,
)
from .naming import kind, quoted
from .oasst import BranchError
from .parsing import Fault, Finding, Object, parse_row
from .row_plan import RowPlan, unreadable_keys
from .tool_text import has_tools, write_as_text
from .treatments import chosen_row, split_before, strip_messages
from .turn_rules import check_content, check_order, check_role
from .turns import meaningful_turn, without_empty


class Explanation(NamedTuple):
    """What a line holds and what is to be said about it."""

    messages: list[Message]  # empty if any finding is an error
    findings: list[Finding]
    left_out: tuple[str, ...] = ()  # keys of the row
    left_out_of_messages: tuple[str, ...] = ()


def explain_line(line: bytes, reader: RowReader, before: bytes = b"") -> Explanation:
    """Read a line that is not clean.

    Args:
        line: One line without its line end and without spaces around it.
        reader: Knows what is done with rows and turns, by their keys.
        before: What was taken away before it, so that columns are those of the file.

    Returns:
        Its conversation, if it has one that can be trained on, and every finding, at most one per code.
    """
    reading = _Reading(reader)
    findings: dict[Code, Finding] = {}
    try:
        row = parse_row(line, before)
        for finding in reading.check_row(row, line):
            findings.setdefault(finding.code, finding)
    except Fault as fault:
        findings.setdefault(fault.finding.code, fault.finding)
    asked = reader.rules
    left_out = (asked.vision != "reject" and Code.MEDIA in findings) or (
        asked.tools == "drop_rows" and Code.TOOL_CALLS in findings
    )
    if left_out or Code.LEFT_OUT in findings:
        findings = {Code.LEFT_OUT: Finding(Code.LEFT_OUT, "left out, as was asked for such rows")}
    unusable = any(code.is_error or code is Code.LEFT_OUT for code in findings)
    messages = [] if unusable else reading.messages
    return Explanation(
        messages, list(findings.values()), tuple(reading.left_out), tuple(reading.left_out_of_messages)
    )


class _Reading:
    """One row being read."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._rules = reader.rules
        self._written: frozenset[str] = frozenset()  # keys whose values became part of the texts
        self._masked: int | None = None  # the place of the first answer that is not to be learned
        self.messages: list[Message] = []
        self.left_out: dict[str, None] = {}
        self.left_out_of_messages: dict[str, None] = {}

    def check_row(self, whole: Object, line: bytes) -> Iterator[Finding]:
        """Yield the findings of a row and fill in its messages; `line` is what it was read from."""
        row, plan = yield from self._plan(whole, line)
        if plan.layout is not None and plan.layout.code is not None:
            yield Finding(plan.layout.code, f"read from {quoted(plan.used)}")
        self.left_out = dict.fromkeys(
            key for key in whole if key not in plan.used and key not in self._written
        )
        if self.left_out:
            yield Finding(Code.EXTRA_KEYS, f"left out {quoted(self.left_out)}")
        for key in plan.weights:
            if not learns_fully(row[key]):
                yield Finding(
                    Code.MASKED, f'"{key}" asks for another weight of the row, which the trainer ignores'
                )
        try:
            turns = plan.turns_of(row)
        except BranchError as fault:
            raise Fault(Code.AMBIGUOUS, f"{fault}: keep the one that is to be learned") from None
        if not isinstance(turns, list):
            yield from _not_a_list(turns)
            return
        if len(turns) < 2:
            yield Finding(Code.TOO_FEW_MESSAGES, f"{len(turns)} of the 2 messages that a conversation needs")
        roles: list[str | None] = []
        for number, turn in enumerate(turns, 1):
            named = plan.layout is None or plan.layout.code is None
            role = yield from self._check_turn(turn, number, named=named)
            roles.append(role)
        yield from check_order(roles)
        yield from self._cut()
        yield from self._check_whole(row, plan)

    def _plan(self, whole: Object, line: bytes) -> Generator[Finding, None, tuple[dict[str, Any], RowPlan]]:
        """Settle what the row is read from; raises the fault if it is nothing that can be read."""
        row, plan = dict(whole), self._reader.plan(whole)
        if plan.fault is not None:
            row = without_empty(whole)
            plan = self._reader.plan(row)
        yield from _check_repeated(whole, plan)
        if plan.fault is not None and plan.fault[0] is Code.PREFERENCE and self._rules.preference != "reject":
            row = _only_chosen(row)
            plan = self._reader.plan(row)
            yield Finding(Code.CHOSEN_USED, "kept the chosen answer only")
        if self._rules.tools == "as_text" and has_tools(row, self._reader.ignored):
            row = without_empty(write_as_text(_exactly(row, line)))
            plan = self._reader.plan(row)
            self._written = frozenset(whole.keys() - row.keys())
            yield Finding(Code.TOOLS_WRITTEN, "wrote functions, calls and results as text")
        if plan.fault is not None:
            code, message = plan.fault
            if code is Code.NO_MESSAGES:
                message = unreadable_keys(whole)
                if "messages" in whole:
                    raise Fault(
                        Code.MESSAGES_NOT_A_LIST, f'"messages" is {kind(whole["messages"])}, not a list'
                    )
            raise Fault(code, message)
        return row, plan

    def _cut(self) -> Iterator[Finding]:
        """End the conversation before an answer that is not to be learned, if the uploader asked for that."""
        if self._masked is None:
            return
        self.messages = split_before(self.messages, self._masked)
        if self.messages:
            yield Finding(Code.SPLIT, "cut before the first answer that is not to be learned")
        else:
            yield Finding(Code.MASKED, "no answer before the first that is not to be learned")

    def _check_whole(self, row: dict[str, Any], plan: RowPlan) -> Iterator[Finding]:
        """What shows only when all messages are read."""
        if self.messages and is_placeholder(answer := self.messages[-1]["content"]):
            yield Finding(Code.PLACEHOLDER, f"the last answer is {answer.strip()!r}, which looks like none")
        if plan.prompt and not asks_first(
            row["prompt"], [message["content"] for message in self.messages[:2]]
        ):
            yield Finding(
                Code.UNKNOWN_KEY,
                'the row has "prompt", which is not its first question; remove it, or name it in ignore_keys',
            )
        try:
            encoded = encode_messages(self.messages)
        except TypeError:  # half a surrogate pair, which is a finding already
            return
        mark = find_markup(encoded)
        if mark and self._rules.pretemplated == "strip":
            self.messages = strip_messages(self.messages)
            yield Finding(Code.MARKUP_REMOVED, "removed the marks of a chat template")
            if not all(message["content"] for message in self.messages):
                yield Finding(Code.EMPTY_CONTENT, "a message has no text but marks of a template")
        elif mark:
            yield Finding(
                Code.TEMPLATED_TEXT,
                f"a text holds the mark {mark[:40]}, which tokenizers take for a real one; remove it",
            )
        yield from self._check_open_turn()
        if has_json_messages(encoded):
            yield Finding(
                Code.JSON_IN_TEXT,
                "a text is a list of messages written as JSON; write the messages themselves",
            )
        if has_media_mark(encoded):
            yield Finding(
                Code.MEDIA, "a text has the place of an image or a sound, which the model would never see"
            )

    def _check_open_turn(self) -> Iterator[Finding]:
        """A template of plain words around the last question."""
        question = self.messages[-2] if len(self.messages) > 1 else None
        if question is None or not ends_in_open_turn(question["content"]):
            return
        stripped = strip_open_turn(question["content"]) if self._rules.pretemplated == "strip" else None
        if stripped:
            self.messages[-2] = {**question, "content": stripped}
            yield Finding(Code.MARKUP_REMOVED, "removed the words of a template around a question")
        else:
            yield Finding(
                Code.TEMPLATED_TEXT,
                "a question ends with the name of who speaks next, as templates do, and may hold more turns;"
                " write the turns as messages",
            )

    def _check_turn(self, turn: object, number: int, *, named: bool) -> Generator[Finding, None, str | None]:
        """Yield the findings of one message; return its role if that is a known one."""
        if not isinstance(turn, dict):
            yield Finding(Code.MESSAGE_NOT_AN_OBJECT, f"message {number} is {kind(turn)}, not an object")
            return None
        plan, fields = self._reader.turn_plan(turn), turn
        if plan.fault is not None:
            fields = meaningful_turn(turn)
            plan = self._reader.turn_plan(fields)
        name = fields.get(plan.role) if plan.role else None
        if isinstance(name, str) and name in TOOL_ROLES:
            yield Finding(
                Code.TOOL_CALLS, f"message {number} is part of a tool call, which the trainer cannot train"
            )
            return None
        if plan.fault is not None:
            code, message = plan.fault
            yield Finding(code, message.replace("{number}", str(number)))
            if code in (Code.TOOL_CALLS, Code.MEDIA):
                return None
        extra = [key for key in turn if key not in (plan.role, plan.content)]
        if extra and plan.fault is None:
            self.left_out_of_messages.update(dict.fromkeys(extra))
            yield Finding(Code.EXTRA_MESSAGE_KEYS, f"message {number}: left out {quoted(extra)}")
        role = yield from check_role(name, number, given=plan.role is not None, named=named)
        content = yield from check_content(
            fields.get(plan.content) if plan.content else None, number, given=plan.content is not None
        )
        if role == "assistant":
            masks = [key for key in plan.weights if not learns_fully(fields[key])]
            if masks and self._rules.mask == "split":
                self._masked = len(self.messages) if self._masked is None else self._masked
            elif masks:
                yield Finding(
                    Code.MASKED,
                    f"message {number}: {quoted(masks)} says that the answer is not learned like others,"
                    " which the trainer ignores; end the conversation before it",
                )
        if role is not None and content is not None:
            self.messages.append({"role": role, "content": content})
        return role


def _exactly(row: dict[str, Any], line: bytes) -> dict[str, Any]:
    """The row with its numbers as they were written: `parse_row` makes all of them floats."""
    try:
        return {key: value for key, value in orjson.loads(line).items() if key in row}
    except ValueError:  # half a surrogate pair, which becomes a finding
        return row


def _only_chosen(row: dict[str, Any]) -> dict[str, Any]:
    try:
        chosen = chosen_row(row)
    except (ValueError, AttributeError):
        raise Fault(Code.PREFERENCE, "the row does not say which answer is the chosen one") from None
    if chosen is None:
        raise Fault(Code.LEFT_OUT, "the answer is marked as bad")
    return chosen


def _not_a_list(turns: object) -> Iterator[Finding]:
    if isinstance(turns, str):
        try:
            inner = json.loads(turns)
        except (ValueError, RecursionError):
            inner = None
        if isinstance(inner, list | dict):
            yield Finding(
                Code.JSON_IN_TEXT,
                '"messages" is a string that holds JSON; write the list itself, not its text',
            )
            return
    yield Finding(Code.MESSAGES_NOT_A_LIST, f'"messages" is {kind(turns)}, not a list')


def _check_repeated(row: Object, plan: RowPlan) -> Iterator[Finding]:
    if row.repeated:
        yield Finding(Code.DUPLICATE_KEY, f"the row has {quoted(row.repeated)} twice; keep one")
    for key in plan.used:
        turns = row.get(key)
        for number, turn in enumerate(turns if isinstance(turns, list) else (), 1):
            if isinstance(turn, Object) and turn.repeated:
                yield Finding(
                    Code.DUPLICATE_KEY, f"message {number} has {quoted(turn.repeated)} twice; keep one"
                )
