"""The fast way to read a conversation, for the lines that have no faults: nearly all of a good dataset.

Whatever is unusual about a line (a fault, a repair, another layout) makes `read_clean_line` give up, and
`explain_line` reads it again. Both write a conversation in one form, so that equal ones have equal bytes.
"""

from collections.abc import Collection
from operator import itemgetter
from typing import NamedTuple

import msgspec
import orjson

Message = dict[str, str]


class Conversation(NamedTuple):
    """A row that can be trained on."""

    encoded: bytes  # its messages as compact UTF-8 JSON with sorted keys
    turns: int
    extra_keys: Collection[str]  # the row's other keys, which the snapshot leaves out


def _role_orders(longest: int) -> frozenset[tuple[str, ...]]:
    orders: set[tuple[str, ...]] = set()
    for pairs in range(1, longest // 2 + 1):
        orders.add(("user", "assistant") * pairs)
        orders.add(("system", *("user", "assistant") * pairs))
    return frozenset(orders)


# Longer conversations are rare enough for the slow way.
_ROLE_ORDERS = _role_orders(128)
# Keys of a row that the trainer would have to act on, and that `explain_line` reports.
_ROW_KEYS_WITH_MEANING = frozenset(("weight", "tools", "functions"))
# Types whose values `orjson` writes in the fewest bytes that JSON has for them; of floats, 1e9 is shorter.
_SHORTEST = frozenset((str, int, bool, type(None)))
_FRAME = len('{"messages":}\n')
_FRAME_QUOTES = 2

# What the loop over all lines calls, bound once.
_loads, _dumps, _strip = orjson.loads, orjson.dumps, str.strip
_SORTED = orjson.OPT_SORT_KEYS
_role_and_content = itemgetter("role", "content")


def encode_messages(messages: list[Message]) -> bytes:
    """Write messages as the snapshot holds them."""
    return orjson.dumps(messages, option=_SORTED)


def decode_messages(encoded: bytes) -> list[Message]:
    """Read messages back: slower than `orjson`, which takes twelve times their size for a moment."""
    return msgspec.json.decode(encoded, type=list[Message])


def read_clean_line(line: bytes) -> Conversation | None:
    """Read a line that has nothing wrong with it.

    Args:
        line: One line with its newline.

    Returns:
        The conversation; None if anything about the line needs a closer look.
    """
    try:
        row = _loads(line)  # takes nothing but strict JSON in valid UTF-8
        messages = row.pop("messages")
        roles, contents = zip(*map(_role_and_content, messages))  # noqa: B905 - all of them are pairs
        turns = len(roles)
        if (
            roles not in _ROLE_ORDERS
            or sum(map(len, messages)) != 2 * turns
            or not all(map(_strip, contents))
            or "\0" in "".join(contents)
        ):
            return None
        encoded = _dumps(messages, option=_SORTED)
        others = _dumps(row) if row else b""
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # the shape of the row is not what the statements above take for granted
    if row and not _ROW_KEYS_WITH_MEANING.isdisjoint(row):
        return None
    if not line.endswith(b"}\n") or not line.startswith(b"{"):
        return None
    compact = _FRAME + len(encoded) + (len(others) - 1 if row else 0)
    if len(line) == compact and _SHORTEST.issuperset(map(type, row.values())):
        # A decoder keeps one of two equal keys. What it kept cannot be written in fewer bytes than these,
        # so there was nothing else in the line.
        return Conversation(encoded, turns, row)
    if not _keys_are_unique(line, encoded, others):
        return None
    return Conversation(encoded, turns, row)


def _keys_are_unique(line: bytes, encoded: bytes, others: bytes) -> bool:
    r"""Whether no object of a line, however deep, has a key twice; False also if that takes a closer look.

    Every string has two quotation marks around it. Those within are written `\"`, both by the encoder and,
    unless it writes `\u0022`, by the line. So each key that the decoder dropped leaves two over in the line.
    """
    if b"\\u0022" in line:
        return False
    return line.count(b'"') == _FRAME_QUOTES + encoded.count(b'"') + others.count(b'"')
