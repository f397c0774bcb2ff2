"""README.md says what is served; this holds it to it."""

from __future__ import annotations

from pathlib import Path

from azureml_emulator.core.routing import Plane
from azureml_emulator.routes import COMPLETIONS, ROUTES

DOCUMENT = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- coverage:begin -->\n", "<!-- coverage:end -->"


def coverage_table() -> str:
    """The table as the routes have it."""
    lines = ["| operation | call | evidence |", "|---|---|---|"]
    for route in ROUTES:
        if route.plane is not Plane.CONTROL:
            path = route.template
            for prefix, short in (
                ("/subscriptions/{subscription}/resourceGroups/{group}", "{group}"),
                ("/subscriptions/{subscription}", "{subscription}"),
                ("/providers/Microsoft.MachineLearningServices", "…"),
            ):
                path = path.replace(prefix, short)
            lines.append(f"| `{route.operation}` | `{route.method} {path}` | {route.evidence} |")
    return "\n".join(lines) + "\n"


def test_the_table_lists_every_operation_and_nothing_else() -> None:
    """Adding, removing or re-grading an operation without the table fails here."""
    written = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    assert written == coverage_table()


def test_every_kind_of_long_running_operation_is_named() -> None:
    """Faults match on these names, so the document has to have them."""
    text = DOCUMENT.read_text()
    assert [kind for kind in COMPLETIONS if f"`{kind}`" not in text] == []


def test_operations_have_names_of_their_own() -> None:
    """A name stands for one operation, so that a fault hits what it says."""
    names = [route.operation for route in ROUTES]
    assert len(names) == len(set(names))
