"""Bar charts as inline SVG: no scripts, no fonts of their own, colours from the page's style sheet."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _HEIGHT = 330, 170
_LEFT, _TOP, _BOTTOM = 8, 22, 34


class Bar(NamedTuple):
    """One bar of a chart."""

    label: str
    value: int
    marked: bool = False  # drawn in the warning colour


def bar_chart(bars: Sequence[Bar], *, title: str, axis: str) -> str:
    """Draw bars side by side, each with its value on top and its label below.

    Args:
        bars: From left to right.
        title: What the chart shows, for those who cannot see it.
        axis: What the labels are.

    Returns:
        An `svg` element.
    """
    highest = max((bar.value for bar in bars), default=0) or 1
    step = (_WIDTH - 2 * _LEFT) / max(len(bars), 1)
    width = min(step * 0.72, 72)
    room = _HEIGHT - _TOP - _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{_TOP + room}" y2="{_TOP + room}"/>',
    ]
    for index, bar in enumerate(bars):
        middle = _LEFT + step * (index + 0.5)
        height = max(room * bar.value / highest, 1.5 if bar.value else 0)
        top = _TOP + room - height
        style = "bar marked" if bar.marked else "bar"
        parts.append(
            f'<rect class="{style}" x="{middle - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}"'
            f' height="{height:.1f}" rx="2"><title>{escape(bar.label)}: {bar.value:,}</title></rect>'
            f'<text class="value" x="{middle:.1f}" y="{top - 5:.1f}">{short_number(bar.value)}</text>'
            f'<text class="label" x="{middle:.1f}" y="{_TOP + room + 15}">{escape(bar.label)}</text>'
        )
    parts.append(f'<text class="axis-name" x="{_WIDTH / 2}" y="{_HEIGHT - 3}">{escape(axis)}</text></svg>')
    return "".join(parts)


def short_number(value: int) -> str:
    """A number in at most five characters, for charts: 950, 12.3k, 4.5M."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if value >= size:
            unit = 1_000 if letter == "k" else size
            return f"{value / unit:.3g}{letter}"
    return f"{value:,}"
