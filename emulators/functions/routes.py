"""ASP.NET route templates, as HTTP triggers write them: `runs/{id:int}/{format?}`, `{*path}`.

Source: https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints, which HTTP triggers
follow (https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

PARAMETER = re.compile(
    r"\{(?P<all>\*{1,2})?(?P<name>[A-Za-z_]\w*)(?P<constraints>(?::[^{}]+?)*)(?P<optional>\?)?\}"
)

CONSTRAINTS: dict[str, Callable[[str, str], bool]] = {
    "int": lambda value, _: re.fullmatch(r"-?\d+", value) is not None and -(2**31) <= int(value) < 2**31,
    "long": lambda value, _: re.fullmatch(r"-?\d+", value) is not None and -(2**63) <= int(value) < 2**63,
    "bool": lambda value, _: value.lower() in {"true", "false"},
    "alpha": lambda value, _: re.fullmatch(r"[A-Za-z]*", value) is not None,
    "guid": lambda value, _: (
        re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) is not None
    ),
    "minlength": lambda value, argument: len(value) >= int(argument),
    "maxlength": lambda value, argument: len(value) <= int(argument),
    "length": lambda value, argument: _between(len(value), argument),
    "min": lambda value, argument: _is_number(value) and int(value) >= int(argument),
    "max": lambda value, argument: _is_number(value) and int(value) <= int(argument),
    "range": lambda value, argument: _is_number(value) and _between(int(value), argument),
    "regex": lambda value, argument: re.search(argument, value, re.IGNORECASE) is not None,
    "required": lambda value, _: value != "",
}


class RouteTemplateError(ValueError):
    """A route template cannot be read, or uses a constraint that this host lacks."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One segment of a template: a literal, or a parameter with its constraints."""

    literal: str = ""
    name: str = ""
    constraints: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    rest: bool = False


class RouteTemplate:
    """Matches request paths, and sorts before less specific templates."""

    def __init__(self, template: str) -> None:
        """Read a template.

        Raises:
            RouteTemplateError: It is not one, or names an unknown constraint.
        """
        self.template = template.strip("/")
        segments = self.template.split("/") if self.template else []
        self._parts = [_part(template, segment) for segment in segments]
        if any(part.rest for part in self._parts[:-1]):
            raise RouteTemplateError(f"{template!r}: a catch-all parameter must come last")

    @property
    def specificity(self) -> tuple[int, ...]:
        """A sort key: literal segments before constrained parameters before free ones before catch-alls."""
        ranks = [
            3 if part.rest else 0 if part.literal else 1 if part.constraints else 2 for part in self._parts
        ]
        return (*ranks, 4)

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The values of the parameters if a path matches.

        Args:
            raw_path: The path after the route prefix, still percent-encoded, so that an encoded slash stays
                inside its segment as it does in ASP.NET.

        Returns:
            A value for each parameter that was present, or None when the path does not match.
        """
        stripped = raw_path.strip("/")
        segments = [_decode(segment) for segment in stripped.split("/")] if stripped else []
        values: dict[str, str] = {}
        for index, part in enumerate(self._parts):
            if part.rest:
                values[part.name] = "/".join(segments[index:])
                return values if _allowed(part, values[part.name]) else None
            if index >= len(segments):
                if not part.optional:
                    return None
                continue
            if part.literal:
                if part.literal.lower() != segments[index].lower():
                    return None
            elif _allowed(part, segments[index]):
                values[part.name] = segments[index]
            else:
                return None
        return values if len(segments) <= len(self._parts) else None


def _part(template: str, segment: str) -> _Part:
    match = PARAMETER.fullmatch(segment)
    if match is None:
        if "{" in segment or "}" in segment:
            raise RouteTemplateError(f"{template!r}: this host reads a parameter only as a whole segment")
        return _Part(literal=segment)
    constraints = tuple(_constraint(template, text) for text in match["constraints"].split(":")[1:])
    return _Part(
        name=match["name"],
        constraints=constraints,
        optional=match["optional"] is not None,
        rest=match["all"] is not None,
    )


def _constraint(template: str, text: str) -> tuple[str, str]:
    name, _, argument = text.partition("(")
    if name not in CONSTRAINTS:
        raise RouteTemplateError(f"{template!r}: unknown constraint {name!r}")
    return name, argument.removesuffix(")")


def _allowed(part: _Part, value: str) -> bool:
    return all(CONSTRAINTS[name](value, argument) for name, argument in part.constraints)


def _decode(segment: str) -> str:
    return "%2F".join(unquote(piece, errors="replace") for piece in re.split("%2[Ff]", segment))


def _is_number(value: str) -> bool:
    return re.fullmatch(r"-?\d+", value) is not None


def _between(number: int, argument: str) -> bool:
    low, _, high = argument.partition(",")
    return int(low) <= number <= int(high or low)
