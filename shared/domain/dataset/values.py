"""Count a line's JSON values without decoding it; decoded, each takes up to 200 bytes."""

import re

MOST_VALUES = 1 << 17

# One match for each string and each sign that begins a value. Possessive: a long string takes no stack.
_STRING_OR_SIGN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{,]', re.DOTALL)


def has_too_many_values(line: bytes) -> bool:
    """Whether a line holds more values than are decoded; no line up to `MOST_VALUES` bytes does."""
    if len(line) <= MOST_VALUES or _signs(line) <= MOST_VALUES:
        return False
    signs = 0
    for match in _STRING_OR_SIGN.finditer(line):  # those in texts begin no value
        signs += line[match.start()] != ord('"')
        if signs > MOST_VALUES:
            return True
    return False


def _signs(line: bytes) -> int:
    return line.count(b"[") + line.count(b"{") + line.count(b",")
