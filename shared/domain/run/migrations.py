"""Bring records that older versions of the app wrote to the present schema, one written step a version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.domain.run.run import SCHEMA_VERSION

Document = dict[str, Any]


def _endpoints_say_whether_they_are_public(record: Document) -> Document:
    """1 to 2: until then the app created no endpoint but public ones."""
    endpoint = record.get("endpoint")
    if endpoint is None:
        return record
    return {**record, "endpoint": {**endpoint, "public": True}}


def _runs_may_start_again(record: Document) -> Document:
    """2 to 3: until then a run had one job, one endpoint and one VM size of each kind: the defaults."""
    return record


def _serving_has_what_is_used(record: Document) -> Document:
    """3 to 4: until then it repeated a constant and the window that training had."""
    endpoint = record.get("endpoint") or {}
    if endpoint.get("serving") is None:
        return record
    kept = {
        name: value
        for name, value in endpoint["serving"].items()
        if name not in {"timeout_seconds", "context_window"}
    }
    return {**record, "endpoint": {**endpoint, "serving": kept}}


def _runs_have_more(record: Document) -> Document:
    """4 to 5: a run of before has no quote and no evaluation, and nobody took note of its end."""
    return record


MIGRATIONS: dict[int, Callable[[Document], Document]] = {
    1: _endpoints_say_whether_they_are_public,
    2: _runs_may_start_again,
    3: _serving_has_what_is_used,
    4: _runs_have_more,
}
"""What makes a record of that version one of the next."""


def migrated(record: Document, version: int) -> Document:
    """A decoded record in the present schema.

    Args:
        record: The record, as its version has it.
        version: One of `MIGRATIONS`, or the present one.

    Raises:
        TypeError: If the record does not have the form of its version.
    """
    for step in range(version, SCHEMA_VERSION):
        record = MIGRATIONS[step](record)
    return {**record, "schema_version": SCHEMA_VERSION}
