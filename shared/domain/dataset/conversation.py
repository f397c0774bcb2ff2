"""The fast way to read a row, for the rows that have no faults: nearly all of a good dataset, in any layout.

Whatever else is unusual about a line makes `RowReader.read` give up, and `explain_line` reads the line
again. Both
write a conversation in one form, so that equal ones have equal bytes.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec
import orjson

from .codes import Code
from .keys import ROLES, is_empty, learns_fully
from .markup import MAY_END_OPEN, ends_in_open_turn, has_markup
from .row_plan import RowPlan, plan_row
from .rules import ValidationRules
from .turns import TurnPlan, join_parts, meaningful_turn, plan_turn, without_empty

Message = dict[str, str]
Repairs = tuple[tuple[Code, tuple[str, ...]], ...]


Conversation = tuple[bytes, int, Repairs]
"""A row that can be trained on: its messages as compact UTF-8 JSON with sorted keys, how many there are, and
what the snapshot has otherwise, each with its keys. No class: making one takes as long as a digest."""


def _role_orders(longest: int) -> frozenset[tuple[str, ...]]:
    orders: set[tuple[str, ...]] = set()
    for pairs in range(1, longest // 2 + 1):
        orders.add(("user", "assistant") * pairs)
        orders.add(("system", *("user", "assistant") * pairs))
    return frozenset(orders)


# Longer conversations are rare enough for the slow way.
_ROLE_ORDERS = _role_orders(128)
# Types whose values `orjson` writes in the fewest bytes that JSON has for them; of floats, 1e9 is shorter.
_SHORTEST = frozenset((str, int, bool, type(None)))
_FRAME = len('{"messages":}\n')
_FRAME_QUOTES = 2
_MOST_PLANS = 1_024  # rows with ever new keys are planned again and again, but fill no memory
# Whole answers of programs that had none. The longest has 15 characters.
PLACEHOLDERS = frozenset(
    ("n/a", "na", "none", "null", "nil", "nan", "undefined", "#n/a", "#value!", "#ref!", "todo", "tbd")
) | {"[object object]"}
_LONGEST_PLACEHOLDER = 16

# What the loop over all lines calls, bound once.
_loads, _dumps, _strip = orjson.loads, orjson.dumps, str.strip
_SORTED = orjson.OPT_SORT_KEYS
_role_and_content = itemgetter("role", "content")
_role, _content, _is_space = itemgetter("role"), itemgetter("content"), str.isspace
_PLAIN = frozenset(("role", "content"))


def encode_messages(messages: list[Message]) -> bytes:
    """Write messages as the snapshot holds them."""
    return orjson.dumps(messages, option=_SORTED)


def decode_messages(encoded: bytes) -> list[Message]:
    """Read messages back: slower than `orjson`, which takes twelve times their size for a moment."""
    return msgspec.json.decode(encoded, type=list[Message])


def asks_first(prompt: object, contents: Sequence[str]) -> bool:
    """Whether a row's `prompt` says nothing that its messages do not: it is the first question, or empty."""
    return prompt in contents[:2] or is_empty(prompt)


def is_placeholder(text: str) -> bool:
    """Whether a text is what programs write in place of one."""
    return len(text) <= _LONGEST_PLACEHOLDER and text.strip().lower() in PLACEHOLDERS


class RowReader:
    """Reads rows; remembers what is done with rows and turns of the keys that it met."""

    def __init__(self, rules: ValidationRules) -> None:
        """Set up for one dataset.

        Args:
            rules: For what the uploader allows.
        """
        self.rules = rules
        self.may_have_escapes = True
        """Whether the next line may spell characters of ASCII as `\\u00…`; set by who has looked."""
        self.ignored = frozenset(rules.ignore_keys)
        self._rows: dict[tuple[str, ...], RowPlan] = {}
        self._turns: dict[tuple[str, ...], TurnPlan] = {}
        self._extras: dict[tuple[str, ...], Repairs | None] = {}

    def plan(self, row: dict[str, Any]) -> RowPlan:
        """What is done with a row of such keys."""
        keys = tuple(row)
        plan = self._rows.get(keys)
        if plan is None:
            if len(self._rows) >= _MOST_PLANS:
                self._rows.clear()
            plan = self._rows[keys] = plan_row(keys, self.ignored)
        return plan

    def turn_plan(self, turn: dict[str, Any]) -> TurnPlan:
        """What is done with a turn of such keys."""
        keys = tuple(turn)
        plan = self._turns.get(keys)
        if plan is None:
            if len(self._turns) >= _MOST_PLANS:
                self._turns.clear()
            plan = self._turns[keys] = plan_turn(keys, self.ignored)
        return plan

    def read_clean(self, line: bytes) -> Conversation | None:
        """Read a line that has nothing wrong with it, in the layout that most have.

        Args:
            line: One line with its newline.

        Returns:
            The conversation; None if anything about the line needs a closer look.
        """
        if not line.endswith(b"}\n"):
            return None
        try:
            row = _loads(line)  # takes nothing but strict JSON in valid UTF-8
            messages = row.pop("messages")
            roles, contents = tuple(map(_role, messages)), tuple(map(_content, messages))
            turns = len(roles)
            if (
                roles not in _ROLE_ORDERS
                or sum(map(len, messages)) != 2 * turns
                or not all(contents)
                or True in map(_is_space, contents)
                or (self.may_have_escapes and "\0" in "".join(contents))
                or (len(contents[-1]) <= _LONGEST_PLACEHOLDER and is_placeholder(contents[-1]))
                or (contents[-2].endswith(MAY_END_OPEN) and ends_in_open_turn(contents[-2]))
            ):
                return None
            encoded = _dumps(messages, option=_SORTED)
            others = _dumps(row) if row else b""
        except (ValueError, TypeError, KeyError, AttributeError):
            return None  # the shape of the row is not what the statements above take for granted
        repairs: Repairs = ()
        if row:
            keys = tuple(row)
            planned = self._extras[keys] if keys in self._extras else self._plan_extra(keys)
            if planned is None or ("prompt" in row and not asks_first(row["prompt"], contents)):
                return None
            repairs = planned
        if (b"<" in encoded or encoded.find(b"[", 1) > 0) and has_markup(encoded):
            return None  # prose has neither sign, and one byte is looked for very fast
        compact = _FRAME + len(encoded) + (len(others) - 1 if row else 0)
        if len(line) == compact and _SHORTEST.issuperset(map(type, row.values())):
            # A decoder keeps one of two equal keys. What it kept cannot be written in fewer bytes than these,
            # so there was nothing else in the line.
            return encoded, turns, repairs
        quotes = _FRAME_QUOTES + encoded.count(b'"') + others.count(b'"')
        return (encoded, turns, repairs) if line[:1] == b"{" and self._has_quotes(line, quotes) else None

    def _plan_extra(self, keys: tuple[str, ...]) -> Repairs | None:
        """What is said of a row for its keys beside `messages`; None if they need a closer look."""
        if len(self._extras) >= _MOST_PLANS:
            self._extras.clear()
        plan = plan_row(("messages", *keys), self.ignored)
        fine = plan.fault is None and plan.system is None and not plan.weights
        self._extras[keys] = repairs = ((Code.EXTRA_KEYS, keys),) if fine else None
        return repairs

    def read(self, line: bytes) -> Conversation | None:
        """Read a line of any layout that has nothing wrong with it but what the snapshot repairs.

        Args:
            line: One line with its newline.

        Returns:
            The conversation; None if anything about the line needs a closer look.
        """
        if not line.endswith(b"}\n") or not line.startswith(b"{"):
            return None
        try:
            whole = _loads(line)
            row, plan = whole, self.plan(whole)
            if plan.fault is not None:
                row = without_empty(whole)
                plan = self.plan(row)
                if plan.fault is not None:
                    return None
            if plan.weights and not all(learns_fully(row[key]) for key in plan.weights):
                return None
            repairs: list[tuple[Code, tuple[str, ...]]] = []
            layout = plan.layout.code if plan.layout else None
            messages = self._normalize(plan.turns_of(row), repairs, named=layout is None)
            roles, contents = zip(*map(_role_and_content, messages))  # noqa: B905 - all of them are pairs
            if (
                roles not in _ROLE_ORDERS
                or not all(map(_strip, contents))
                or (self.may_have_escapes and "\0" in "".join(contents))
                or is_placeholder(contents[-1])
                or ends_in_open_turn(contents[-2])
                or (plan.prompt and not asks_first(row["prompt"], contents))
            ):
                return None
            encoded = _dumps(messages, option=_SORTED)
            if has_markup(encoded) or not self._has_quotes(line, _dumps(whole).count(b'"')):
                return None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        if layout is not None:
            repairs.append((layout, plan.used))
        if plan.left_out or len(row) < len(whole):
            repairs.append((Code.EXTRA_KEYS, tuple(key for key in whole if key not in plan.used)))
        return encoded, len(roles), tuple(repairs)

    def _normalize(
        self, turns: Any, repairs: list[tuple[Code, tuple[str, ...]]], *, named: bool
    ) -> list[Message]:
        """Give every turn a role and a content, and nothing else.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: A turn needs a closer look.
        """
        messages: list[Message] = []
        left_out: dict[str, None] = {}
        renamed = developer = joined = False
        for turn in turns:
            plan = self.turn_plan(turn)
            fields = turn
            if plan.fault is not None:
                fields = meaningful_turn(turn)
                plan = self.turn_plan(fields)
                if plan.fault is not None:
                    raise ValueError(plan.fault)
                left_out.update(dict.fromkeys(key for key in turn if key not in fields))
            name, content = fields[plan.role], fields[plan.content]
            role = ROLES[name]
            if name != role:
                developer = developer or name == "developer"
                renamed = renamed or name != "developer"
            if (
                plan.weights
                and role == "assistant"
                and not all(map(learns_fully, map(fields.get, plan.weights)))
            ):
                raise ValueError(plan.weights)
            if plan.left_out:
                left_out.update(dict.fromkeys(plan.left_out))
            if type(content) is list:
                content = join_parts(content)
                joined = True
            messages.append({"content": content, "role": role})
        if left_out:
            repairs.append((Code.EXTRA_MESSAGE_KEYS, tuple(left_out)))
        if developer:
            repairs.append((Code.DEVELOPER_ROLE, ()))
        if joined:
            repairs.append((Code.PARTS_JOINED, ()))
        if renamed and named:
            repairs.append((Code.ROLE_RENAMED, ()))
        return messages

    def _has_quotes(self, line: bytes, quotes: int) -> bool:
        r"""Whether no object of a line, however deep, has a key twice; False also if that is not clear.

        Every string has two quotation marks around it. Those within are written `\"`, both by the encoder
        and, unless it writes `\u0022`, by the line. So each key that the decoder dropped leaves two over in
        the line.

        Args:
            line: The line.
            quotes: How many quotation marks there are when what was decoded is written again.
        """
        return line.count(b'"') == quotes and not (self.may_have_escapes and b"\\u0022" in line)
