"""Sanitize text and timestamps that come from outside."""

from __future__ import annotations

import re
from datetime import datetime

EARLIEST_YEAR = 2000
LATEST_YEAR = 2200

LONGEST_MESSAGE = 2_000
"""Characters of an error's message: a record has several, and a service may say as much as it likes."""

_READ = 16 * LONGEST_MESSAGE

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,80}")

_HALF_A_PAIR = re.compile("[\ud800-\udfff]")

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor
    r"|(?:\x1b[\]P^_X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC and its kin: titles
    r"|\x1b[ -/]*[0-~]"
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Escape sequences of ECMA-48, and the marks of Unicode's bidirectional algorithm (UAX 9)."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def sanitize_text(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    return _HALF_A_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)


def plain_text(text: str) -> str:
    """A message without what a terminal or a reader's eye would obey: for errors, and never for data.

    Left out are sequences that colour terminals (azure-ai-ml's messages have them), set titles or make links,
    and marks that turn the direction of writing. Other control characters become U+FFFD. What is over
    `LONGEST_MESSAGE` is cut off.
    """
    plain = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _SEQUENCE.sub("", sanitize_text(text[:_READ])))
    return plain if len(plain) <= LONGEST_MESSAGE else f"{plain[:LONGEST_MESSAGE]}\N{HORIZONTAL ELLIPSIS}"


def plain_code(text: str) -> str:
    """An error's code if it is a word: codes go into logs and metrics, and services may write anything."""
    return text if _CODE.fullmatch(text) else "Unspecified"


def is_supported_timestamp(moment: datetime) -> bool:
    """Whether a run can have such a time; one near a calendar's end cannot even be moved to UTC."""
    return EARLIEST_YEAR <= moment.year <= LATEST_YEAR
