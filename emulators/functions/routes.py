"""ASP.NET route templates, as HTTP triggers write them: `runs/{id}/{format?}`, `files/{*path}`.

Not werkzeug's rules: those tell `/Runs` from `/runs`, give a HEAD to each GET, and split at `%2F`.
Source: https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates, which HTTP triggers
follow (https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger).
"""

import re
from urllib.parse import unquote

from emulators.functions import UnservableAppError

PARAMETER = re.compile(
    r"\{(?P<all>\*)?(?P<name>[A-Za-z_]\w*)(?::maxlength\((?P<most>\d+)\))?(?P<optional>\?)?\}"
)


class RouteTemplate:
    """Matches request paths, and sorts before less specific templates."""

    def __init__(self, template: str) -> None:
        """Read a template.

        Raises:
            UnservableAppError: It has more than literals and whole parameters as segments.
        """
        self.template = template.strip("/")
        parts = [_part(segment) for segment in self.template.split("/") if segment]
        self._expression = re.compile("".join(part for _, part in parts), re.IGNORECASE | re.DOTALL)
        self.specificity = (*(rank for rank, _ in parts), 3)
        """A sort key: literals before parameters before catch-alls."""

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


def _part(segment: str) -> tuple[int, str]:
    """The rank of a segment, and the expression that it is."""
    match = PARAMETER.fullmatch(segment)
    if match is None:
        if "{" in segment or "}" in segment:
            raise UnservableAppError(
                f"route segment {segment!r}: this host reads {{x}}, {{x?}}, {{*x}}, {{x:maxlength(n)}}"
            )
        return 0, f"/{re.escape(segment)}"
    if match["all"]:
        return 2, f"(?:/(?P<{match['name']}>.*))?"
    most = match["most"]
    length = "+" if most is None else f"{{{min(1, int(most))},{most}}}"
    expression = f"/(?P<{match['name']}>[^/]{length})"
    return 1, f"(?:{expression})?" if match["optional"] else expression


def _decode(segment: str) -> str:
    return "%2F".join(unquote(piece, errors="replace") for piece in re.split("%2[Ff]", segment))
