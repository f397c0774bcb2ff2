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
    """Name the value and the rule in plain words, where they can be told in one line.

    Text is quoted only where its type has a `rule` (in `Meta(extra=…)`): an address may hold a secret.
    """
    declared = msgspec.inspect.type_info(expected)
    rule = None if " - at `$" in str(fault) else _rule(declared)
    return str(fault) if rule is None else f"is {_quoted(value)}; it must be {rule}"


def _rule(declared: msgspec.inspect.Type) -> str | None:
    extra: Mapping[str, Any] = {}
    if isinstance(declared, msgspec.inspect.Metadata):
        extra, declared = declared.extra or {}, declared.type
    if isinstance(declared, msgspec.inspect.UnionType):
        some = [one for one in declared.types if not isinstance(one, msgspec.inspect.NoneType)]
        return _rule(some[0]) if len(some) == 1 else None
    match declared:
        case msgspec.inspect.LiteralType(values=values):
            return f"one of: {', '.join(map(str, values))}"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType():
            return f"a whole number{_range(declared)}"
        case msgspec.inspect.FloatType():
            return f"a number{_range(declared)}"
        case msgspec.inspect.DictType():
            return "an object"
        case _:
            return extra.get("rule")


def _range(number: msgspec.inspect.IntType | msgspec.inspect.FloatType) -> str:
    words = [
        f"above {number.gt:g}" if number.gt is not None else "",
        f"at least {number.ge:g}" if number.ge is not None else "",
        f"below {number.lt:g}" if number.lt is not None else "",
        f"at most {number.le:g}" if number.le is not None else "",
    ]
    told = " and ".join(filter(None, words))
    return f", {told}" if told else ""


def _quoted(value: Any) -> str:
    """A value as JSON has it, shortened."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:64]


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    # Finding the types of a struct's fields takes a thousand times as long as converting a value to one.
    return msgspec.structs.fields(struct)
