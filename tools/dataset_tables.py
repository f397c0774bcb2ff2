"""The tables of `docs/dataset-rules.md` that are made from the code: `python -m tools.dataset_tables`."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from shared.domain.dataset.keys import (
    CONTENT_KEYS,
    CONTEXT_KEYS,
    HARMLESS_MESSAGE_KEYS,
    HARMLESS_OASST_KEYS,
    HARMLESS_ROW_KEYS,
    HISTORY_KEYS,
    ROLE_KEYS,
    ROLES,
    SYSTEM_KEYS,
    WEIGHT_KEYS,
)
from shared.domain.dataset.layouts import LAYOUTS

DOCUMENT = Path(__file__).parents[1] / "docs" / "dataset-rules.md"
BEGIN, END = "<!-- made by tools.dataset_tables -->\n", "<!-- end -->\n"


def dataset_tables() -> str:
    """Layouts, the parts that each of them may have, and the keys that have no effect."""
    lines = ["| Layout | Keys | Code | Example | Source |", "|---|---|---|---|---|"]
    for layout in LAYOUTS:
        beside = f" beside `{layout.beside}`" if layout.beside else ""
        pair = f"{_keys(layout.question)} with {_keys(layout.answer)}"
        keys = f"{_keys(layout.turns)}{beside}" if layout.turns else pair
        code = f"`{layout.code}`" if layout.code else "none"
        example = json.dumps(layout.example, ensure_ascii=False)
        lines.append(f"| {layout.name} | {keys} | {code} | `{example}` | {layout.source} |")
    roles = (_keys(name for name in ROLES if ROLES[name] == role) for role in ("system", "user", "assistant"))
    parts = {
        "system text": SYSTEM_KEYS,
        "context of the question": CONTEXT_KEYS,
        "earlier turns": HISTORY_KEYS,
        "a turn's role": ROLE_KEYS,
        "a turn's content": CONTENT_KEYS,
        "weights": sorted(WEIGHT_KEYS),
        "harmless keys of rows": sorted(HARMLESS_ROW_KEYS),
        "harmless keys of messages": sorted(HARMLESS_MESSAGE_KEYS),
        "harmless keys of OpenAssistant's messages": sorted(HARMLESS_OASST_KEYS),
    }
    lines += ["", "| Part | Keys |", "|---|---|"]
    lines += [f"| {part} | {_keys(keys)} |" for part, keys in parts.items()]
    lines += [
        f"| role {name} | {keys} |" for name, keys in zip(("system", "user", "assistant"), roles, strict=True)
    ]
    return "\n".join(lines) + "\n"


def with_tables(text: str) -> str:
    """The document with its tables as the code has them."""
    pattern = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
    return re.sub(pattern, lambda _: BEGIN + dataset_tables() + END, text, flags=re.DOTALL)


def _keys(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
