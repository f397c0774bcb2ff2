"""Sanitize text and timestamps that come from outside."""

from __future__ import annotations

import re
from datetime import datetime

EARLIEST_YEAR = 2000
LATEST_YEAR = 2200

_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def sanitize_text(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    return _HALF_A_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)


def is_supported_timestamp(moment: datetime) -> bool:
    """Whether a run can have such a time; one near a calendar's end cannot even be moved to UTC."""
    return EARLIEST_YEAR <= moment.year <= LATEST_YEAR
