"""README.md says what is served; this holds it to it."""

from __future__ import annotations

from azureml_emulator.core.routing import Evidence
from azureml_emulator.routes import COMPLETIONS, ROUTES
from coverage_table import BEGIN, DOCUMENT, END, coverage_table
from wire_shapes import SHAPES


def test_the_table_lists_every_operation_and_nothing_else() -> None:
    """Adding, removing or re-grading an operation without the table fails here."""
    written = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    assert written == coverage_table()


def test_recorded_is_said_only_of_what_was_recorded() -> None:
    """No route claims it for itself: it takes an answer in the file of shapes, with its half and date."""
    assert {route.evidence for route in ROUTES} <= set(Evidence) - {Evidence.RECORDED}
    for shape in SHAPES.values():
        evidence, date = shape["known"].split()
        assert evidence in {Evidence.RECORDED, Evidence.SDK_VERIFIED, Evidence.DOCUMENTED}
        assert "2020" < date < "2027"
        assert (shape["half"] == "refusal") == (shape["status"] >= 400)


def test_every_kind_of_long_running_operation_is_named() -> None:
    """Faults match on these names, so the document has to have them."""
    text = DOCUMENT.read_text()
    assert [kind for kind in COMPLETIONS if f"`{kind}`" not in text] == []


def test_operations_have_names_of_their_own() -> None:
    """A name stands for one operation, so that a fault hits what it says."""
    names = [route.operation for route in ROUTES]
    assert len(names) == len(set(names))
