"""The coverage table of README.md; ``python coverage_table.py`` writes it anew.

A row has the halves of an operation: the answer to a first call, the answer to a change of what is there, and
refusals. Each cell says how that half is known and since when. ``recorded`` comes only from an answer in
``wire_shapes.json``, which a test holds the emulator to.
"""

from __future__ import annotations

from pathlib import Path

import live_results
from azureml_emulator.core.routing import Evidence, Plane, Route
from azureml_emulator.routes import ROUTES
from wire_shapes import SHAPES

DOCUMENT = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- coverage:begin -->\n", "<!-- coverage:end -->"
SDK_DATE, CHOICE_DATE = "2026-11-20", "2026-11-28"
DOCUMENTED = {"score": "2026-11-20"}
"""Refusals that Microsoft's page on troubleshooting online endpoints lists, and when it was read."""
ORDER = tuple(str(one) for one in Evidence)


def known(route: Route, half: str) -> str:
    """How one half of an operation is known, and since when: the best of what there is."""
    found = [
        shape["known"]
        for shape in SHAPES.values()
        if (shape["operation"], shape["half"]) == (route.operation, half)
    ]
    if found:
        return min(found, key=lambda one: (ORDER.index(one.split()[0]), _newest_first(one)))
    if half == "answer" and route.evidence is not Evidence.CHOSEN:
        return f"{route.evidence} {SDK_DATE if route.evidence is Evidence.SDK_VERIFIED else CHOICE_DATE}"
    if half == "refusal" and route.operation in DOCUMENTED:
        return f"{Evidence.DOCUMENTED} {DOCUMENTED[route.operation]}"
    return f"{Evidence.CHOSEN} {CHOICE_DATE}"


def _newest_first(text: str) -> int:
    return -int(text.split()[1].replace("-", ""))


def live() -> dict[str, str]:
    """The last success of each operation against the real service, by the tests that call it."""
    dates: dict[str, str] = {}
    for result in live_results.read().values():
        for operation in result["operations"]:
            dates[operation] = max(dates.get(operation, ""), result["date"])
    return dates


def coverage_table() -> str:
    """The table as the routes, the shapes and the live results have it."""
    lines = ["| operation | call | answer | change | refusal | live |", "|---|---|---|---|---|---|"]
    dates = live()
    for route in ROUTES:
        if route.plane is Plane.CONTROL:
            continue
        path = route.template
        for prefix, short in (
            ("/subscriptions/{subscription}/resourceGroups/{group}", "{group}"),
            ("/subscriptions/{subscription}", "{subscription}"),
            ("/providers/Microsoft.MachineLearningServices", "…"),
            ("{registry=azureml|azureml-openai-oss}", "{public}"),
        ):
            path = path.replace(prefix, short)
        changes = route.operation.endswith(".put")
        cells = (
            f"`{route.operation}`",
            f"`{route.method} {path}`",
            known(route, "answer"),
            known(route, "change") if changes else "",
            known(route, "refusal"),
            dates.get(route.operation, ""),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines).replace("|  |", "| |").replace("|  |", "| |") + "\n"


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + coverage_table() + END + rest.partition(END)[2])
