"""One conversation as the pinned copy holds it, and the fast way to read it from a line that has no faults.

Nearly every line of a good dataset takes this way: it is decoded once and encoded once. Whatever is unusual
about a line (a fault, a repair, another layout) makes `CleanLineReader` give up, and `diagnosis` says why.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

Role = Literal["system", "user", "assistant"]


class Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One turn. The order of the fields is their order in the pinned copy."""

    role: Role
    content: str


class Conversation(NamedTuple):
    """A row that can be trained on."""

    messages: list[Message]
    encoded: bytes  # the messages as compact UTF-8 JSON: equal conversations have equal bytes
    extra_keys: tuple[str, ...]  # the row's other keys, which the copy leaves out


class _Line(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The keys of an ultrachat_200k row; a row with others is read by `diagnosis`."""

    messages: list[Message]
    prompt: msgspec.Raw | UnsetType = UNSET
    prompt_id: msgspec.Raw | UnsetType = UNSET


def _role_orders(longest: int) -> frozenset[tuple[str, ...]]:
    orders: set[tuple[str, ...]] = set()
    for pairs in range(1, longest // 2 + 1):
        orders.add(("user", "assistant") * pairs)
        orders.add(("system", *("user", "assistant") * pairs))
    return frozenset(orders)


# Longer conversations are rare enough for the slow way.
_KNOWN_ORDERS = _role_orders(64)
_OPEN, _CLOSE = ord("{"), ord("}")
_content_of = attrgetter("content")
_role_of = attrgetter("role")
_decode = msgspec.json.Decoder(_Line).decode


class CleanLineReader:
    """Reads lines that have nothing wrong with them."""

    def __init__(self) -> None:
        self._encode_into = msgspec.json.Encoder().encode_into
        self._buffer = bytearray()  # encoding into one buffer spares each row its reallocations

    def encode(self, messages: list[Message]) -> bytes:
        """The messages as the pinned copy holds them."""
        self._encode_into(messages, self._buffer, 0)
        return bytes(self._buffer)

    def read(self, line: bytes) -> Conversation | None:
        """Read one line without its line end; None if anything about it needs a closer look."""
        if not line or line[0] != _OPEN or line[-1] != _CLOSE:
            return None
        try:
            row = _decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
        messages = row.messages
        if tuple(map(_role_of, messages)) not in _KNOWN_ORDERS or _has_empty(map(_content_of, messages)):
            return None
        encoded = self.encode(messages)
        extra_keys, extra_bytes = _extra_keys(row)
        if extra_keys and not line.isascii() and not _is_utf8(line):
            return None  # msgspec checks only what it decodes, not what it skips
        if _may_have_key_twice(len(line), len(encoded) + extra_bytes, len(messages), len(extra_keys)):
            return None
        return Conversation(messages, encoded, extra_keys)


def _has_empty(contents: Iterable[str]) -> bool:
    """Whether a text is empty, blank or has a NUL in it."""
    return bool([text for text in contents if not text or text.isspace() or "\0" in text])


def _extra_keys(row: _Line) -> tuple[tuple[str, ...], int]:
    """The keys that the row has besides `messages`, and their bytes when written compactly."""
    prompt, prompt_id = row.prompt, row.prompt_id
    if prompt is not UNSET:
        if prompt_id is not UNSET:
            return ("prompt", "prompt_id"), len('"prompt":,"prompt_id":,') + len(prompt) + len(prompt_id)
        return ("prompt",), len('"prompt":,') + len(prompt)
    if prompt_id is not UNSET:
        return ("prompt_id",), len('"prompt_id":,') + len(prompt_id)
    return (), 0


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _may_have_key_twice(length: int, values: int, messages: int, extra_keys: int) -> bool:
    """Account for every byte of a line as the usual writers lay it out.

    A key given twice leaves bytes over, because a decoder keeps only one of the two. The layouts are the
    compact one and that of Python's `json.dumps`, with a space after each colon and comma. Lines that other
    writers laid out have bytes over too: they lose nothing but the fast way.
    """
    left_over = length - values - len('{"messages":}')
    spaces = (4 * messages - 1) + (2 * extra_keys + 1)
    return left_over not in (0, spaces)
