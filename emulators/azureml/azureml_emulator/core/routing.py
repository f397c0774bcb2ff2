"""Routes: which handler answers a path, who may call it, and how its behaviour is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from azureml_emulator.core.http import Request, Response
from azureml_emulator.core.state import EmulatorState

WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
)
LOCATION = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{location}"
PUBLIC_REGISTRY = (
    "/mferp/managementfrontend/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/registries/{registry=azureml|azureml-openai-oss}"
)
REGISTRY = (
    "/mferp/managementfrontend/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/registries/{registry}"
)

Handler = Callable[[EmulatorState, Request], Response]


class Plane(StrEnum):
    """The plane of the service, which decides on authentication and on ``api-version``."""

    OPEN = "open"  # metadata, identity, registry discovery: no token, or any
    ARM = "arm"  # Azure Resource Manager: token and api-version
    REGISTRY = "registry"  # asset service of a registry: token and api-version
    DATA = "data"  # run history, MLflow, discovery: token
    STORAGE = "storage"  # blobs: shared access signature
    SCORING = "scoring"  # endpoints check their own keys and tokens
    CONTROL = "control"  # the emulator's own controls: none


class Evidence(StrEnum):
    """How the behaviour of an operation is known. What was recorded is in `tests/wire_shapes.json`."""

    RECORDED = "recorded"  # traffic of the real service in Azure's public test recordings
    SDK_VERIFIED = "sdk-verified"  # what azure-ai-ml 1.35.2 sends and accepts; the service was not seen
    DOCUMENTED = "documented"  # Microsoft's documentation or a public issue tells it
    CHOSEN = "chosen"  # not established; the sensible choice


@dataclass(frozen=True, slots=True)
class Route:
    """An operation the emulator answers.

    Attributes:
        operation: Family and verb, ``endpoints.put``; faults and the coverage table call it by this name.
        evidence: How its successful answer is known, as far as it was not recorded.
        query: Query parameters that it reads, besides ``api-version``.
        headers: Headers that it reads, of those that count (see ``strictness``), ``x-ms-meta-*`` with a star.
        body: Type of the body that it reads; None where it reads none.
        template: Path with ``{name}`` for one segment, ``{name=a|b}`` for one of these, ``{name*}`` for the
            rest.
    """

    operation: str
    method: str
    template: str
    handler: Handler
    plane: Plane = Plane.ARM
    evidence: Evidence = Evidence.SDK_VERIFIED
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None


def _pattern(piece: str) -> str:
    found = re.fullmatch(r"\{(\w+)(\*|=.+)?\}", piece)
    if found is None:
        return re.escape(piece)
    name, kind = found.groups()
    return f"(?P<{name}>{'.+' if kind == '*' else kind[1:] if kind else '[^/]+'})"


class Router:
    """Finds the route of a path. ARM ignores the case of its path's fixed segments, so this does too."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        self._compiled: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            pattern = "".join(_pattern(piece) for piece in re.split(r"(\{[^}]+\})", route.template))
            compiled = re.compile(f"{pattern}/?", re.IGNORECASE)
            self._compiled.setdefault(route.method, []).append((compiled, route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the named pieces of the path; None when no route matches."""
        for pattern, route in self._compiled.get(method, ()):
            found = pattern.fullmatch(path)
            if found:
                return route, found.groupdict()
        return None
