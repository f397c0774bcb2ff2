"""Typed fields from loose mappings, with every fault found and not only the first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec


class Problem(NamedTuple):
    """One field that cannot be used, and why."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def convert_fields(
    struct: type[msgspec.Struct],
    values: Mapping[str, Any],
    *,
    strict: bool,
) -> tuple[dict[str, Any], list[Problem]]:
    """Convert the values that `struct` knows, one field at a time.

    Args:
        struct: Declares the fields, their types and constraints.
        values: By field name; names that `struct` does not know are left alone.
        strict: False also accepts numbers and booleans spelled as strings, as an environment has them.

    Returns:
        The converted values, and a problem for each that could not be converted.
    """
    converted: dict[str, Any] = {}
    problems: list[Problem] = []
    for field in _fields(struct):
        if field.name not in values:
            continue
        try:
            converted[field.name] = msgspec.convert(values[field.name], field.type, strict=strict)
        except msgspec.ValidationError as fault:
            problems.append(Problem(field.name, str(fault)))
    return converted, problems


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    # Finding the types of a struct's fields takes a thousand times as long as converting a value to one.
    return msgspec.structs.fields(struct)
