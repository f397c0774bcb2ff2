"""Route templates, as ASP.NET reads them."""

from __future__ import annotations

import pytest

from emulators.functions import UnservableAppError
from emulators.functions.routes import RouteTemplate


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("runs", "/runs", {}),
        ("runs", "/RUNS/", {}),
        ("runs", "/runs/1", None),
        ("runs/{id}", "/runs//1", None),
        ("runs/{id}", "/runs/a%20b", {"id": "a b"}),
        ("runs/{id}", "/runs", None),
        ("runs/{id?}", "/runs", {}),
        ("runs/{id}", "/runs/a%0Ab", {"id": "a\nb"}),
        ("{*rest}", "/a/b%2Fc", {"rest": "a/b%2Fc"}),
        ("files/{*rest}", "/files", {}),
        ("", "/", {}),
        ("{home:maxlength(0)?}", "/", {}),
        ("{home:maxlength(0)?}", "/a", None),
        ("a/{b:maxlength(2)}", "/a/xy", {"b": "xy"}),
        ("a/{b:maxlength(2)}", "/a/xyz", None),
    ],
)
def test_templates_match_as_they_say(template: str, path: str, values: dict[str, str] | None) -> None:
    """A path matches with these values, or not at all (None)."""
    assert RouteTemplate(template).match(path) == values


@pytest.mark.parametrize("template", ["a/{b", "a/{b:int}", "a/x{b}"])
def test_templates_that_cannot_be_served_are_refused(template: str) -> None:
    """What this host cannot read stops it at the start, not at the first request."""
    with pytest.raises(UnservableAppError):
        RouteTemplate(template)


def test_specific_templates_come_first() -> None:
    """Literals before parameters, before catch-alls."""
    templates = ["a/{*rest}", "a/{b}", "a/b"]
    ordered = sorted((RouteTemplate(template) for template in templates), key=lambda one: one.specificity)
    assert [one.template for one in ordered] == ["a/b", "a/{b}", "a/{*rest}"]
