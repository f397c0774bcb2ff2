"""ASP.NET route templates, as HTTP triggers write them: `runs/{id:int}/{format?}`, `{*path}`.

Source: https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints, which HTTP triggers
follow (https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger).
"""

import re
from urllib.parse import unquote

PARAMETER = re.compile(r"\{(?P<all>\*{1,2})?(?P<name>[A-Za-z_]\w*)(?::(?P<kind>\w+))?(?P<optional>\?)?\}")
CONSTRAINTS = {
    "int": r"-?\d{1,10}",
    "long": r"-?\d{1,19}",
    "bool": "true|false",
    "alpha": "[a-z]*",
    "guid": "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}


class RouteTemplateError(ValueError):
    """A route template cannot be read, or uses a constraint that this host lacks."""


class RouteTemplate:
    """Matches request paths, and sorts before less specific templates."""

    def __init__(self, template: str) -> None:
        """Read a template.

        Raises:
            RouteTemplateError: It is not one, or names an unknown constraint.
        """
        self.template = template.strip("/")
        segments = self.template.split("/") if self.template else []
        parts = [self._part(segment, last=segment is segments[-1]) for segment in segments]
        try:
            self._expression = re.compile("".join(part for _, part in parts), re.IGNORECASE | re.DOTALL)
        except re.error as error:
            raise RouteTemplateError(f"{template!r}: {error}") from error
        self.specificity = (*(rank for rank, _ in parts), 4)
        """A sort key: literals before constrained parameters before free ones before catch-alls."""

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The values of the parameters if a path matches.

        Args:
            raw_path: The path after the route prefix, still percent-encoded, so that an encoded slash stays
                inside its segment as it does in ASP.NET.

        Returns:
            A value for each parameter that was present, or None when the path does not match.
        """
        stripped = raw_path.strip("/")
        path = "".join(f"/{_decode(segment)}" for segment in stripped.split("/")) if stripped else ""
        found = self._expression.fullmatch(path)
        if found is None:
            return None
        return {name: value for name, value in found.groupdict().items() if value is not None}

    def _part(self, segment: str, *, last: bool) -> tuple[int, str]:
        """The rank of a segment, and the expression that it is."""
        match = PARAMETER.fullmatch(segment)
        if match is None:
            if "{" in segment or "}" in segment:
                raise RouteTemplateError(
                    f"{self.template!r}: this host reads a parameter only as a whole segment,"
                    f" with one constraint of {', '.join(CONSTRAINTS)}"
                )
            return 0, f"/{re.escape(segment)}"
        name, kind = match["name"], match["kind"]
        if kind is not None and kind not in CONSTRAINTS:
            raise RouteTemplateError(f"{self.template!r}: unknown constraint {kind!r}")
        if match["all"]:
            if not last:
                raise RouteTemplateError(f"{self.template!r}: a catch-all parameter must come last")
            return 3, f"(?:/(?P<{name}>.*))?"
        expression = f"/(?P<{name}>{CONSTRAINTS[kind] if kind else '[^/]+'})"
        return 1 if kind else 2, f"(?:{expression})?" if match["optional"] else expression


def _decode(segment: str) -> str:
    return "%2F".join(unquote(piece, errors="replace") for piece in re.split("%2[Ff]", segment))
