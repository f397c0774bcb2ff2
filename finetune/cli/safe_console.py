"""A console that shows others' text and lets a terminal obey none of it.

Models, services and datasets may write escape sequences, which move the cursor, set the window's title or
make links, and marks that turn the direction of writing. Styles are rich's own, and stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    """The text with U+FFFD for each character that a terminal would obey instead of showing it."""
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", text)


def shown_json(text: str) -> str:
    """The same JSON with such characters spelled as escapes."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


class SafeConsole(Console):
    """Filters what is printed piece by piece, so that a sequence that is cut in two gains nothing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `Console.render`."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)
