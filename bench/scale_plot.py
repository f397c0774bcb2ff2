"""Draws the measurements of `bench.scale` as an SVG, on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, MARGIN = 640, 360, 64
LINES = (
    ("storage_calls_per_tick", "storage calls per tick", "#0b6"),
    ("storage_calls_per_run", "storage calls per run advanced", "#06c"),
    ("arm_calls_per_run", "Azure ML calls per run advanced", "#c40"),
)
HIGHEST = 1_000
"""Top of the vertical axis: where a call per run and tick would lead."""


def plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw one line for each kind of call, over the number of runs."""
    most = max(row["runs"] for row in rows)

    def x(runs: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * math.log10(runs / 10) / max(math.log10(most / 10), 1)

    def y(calls: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * math.log10(max(calls, 1)) / math.log10(HIGHEST)

    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="Calls by active runs">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for exponent in range(int(math.log10(HIGHEST)) + 1):
        height = y(10**exponent)
        parts.append(f'<path d="M{MARGIN} {height:.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
        parts.append(f'<text x="{MARGIN - 8}" y="{height + 4:.1f}" text-anchor="end">{10**exponent:,}</text>')
    for row in rows:
        where = f'x="{x(row["runs"]):.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle"'
        parts.append(f"<text {where}>{row['runs']:,}</text>")
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 16}" text-anchor="middle">active runs</text>')
    for index, (key, label, color) in enumerate(LINES):
        points = " ".join(f"{x(row['runs']):.1f},{y(row[key]):.1f}" for row in rows)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(row["runs"]):.1f}" cy="{y(row[key]):.1f}" r="3" fill="{color}"/>' for row in rows
        ]
        parts.append(f'<text x="{MARGIN + 12}" y="{MARGIN - 40 + 16 * index}" fill="{color}">{label}</text>')
    dashes = f"M{x(10):.1f} {y(10):.1f}L{x(most):.1f} {y(most):.1f}"
    parts.append(f'<path d="{dashes}" stroke="#999" stroke-dasharray="4 4"/>')
    parts.append(
        f'<text x="{x(most) - 8:.1f}" y="{y(most) - 6:.1f}" text-anchor="end" fill="#777">one per run</text>'
    )
    return "\n".join([*parts, "</svg>", ""])
