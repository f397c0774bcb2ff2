"""Convert mappings to typed fields, and report every fault, not only the first."""

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
            problems.append(Problem(field.name, _explain(values[field.name], field.type, fault)))
    return converted, problems


def _explain(value: Any, expected: Any, fault: msgspec.ValidationError) -> str:
    """Name the value and the rule; what msgspec says of a wrong word lists none of the right ones."""
    declared = msgspec.inspect.type_info(expected)
    if isinstance(declared, msgspec.inspect.Metadata):
        declared = declared.type
    if isinstance(declared, msgspec.inspect.LiteralType):
        return f"is {repr(value)[:64]}; it must be one of: {', '.join(map(str, declared.values))}"
    return str(fault)


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    # Finding the types of a struct's fields takes a thousand times as long as converting a value to one.
    return msgspec.structs.fields(struct)
