"""Calls in, answers out, and the routes between them, free of any web framework."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
)
LOCATION = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{location}"
PUBLIC_REGISTRY = (
    "/mferp/managementfrontend/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/registries/azureml"
)
REGISTRY = (
    "/mferp/managementfrontend/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/registries/{registry}"
)


@dataclass(slots=True)
class Answer:
    """A response: status, body as it goes on the wire, headers.

    Attributes:
        pause: Seconds between the first half of the body and the second, for slow answers.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0


def json_answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that carries JSON; None becomes the four bytes ``null``, which the service does send."""
    return Answer(
        status,
        msgspec.json.encode(document),
        {"Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, with the path already taken apart.

    Attributes:
        base: Scheme, host and port under which the client reached the emulator, no slash at the end.
        headers: Lower-case names.
        parameters: Named pieces of the path.
        claims: Of the bearer token, once it has been checked; empty on open routes.
    """

    method: str
    path: str
    base: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    parameters: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]

    def document(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            ServiceError: 400 when it is not one.
        """
        from local.azureml.errors import workspace_error

        try:
            value = json.loads(self.body)
        except ValueError:
            raise workspace_error(
                400, "The request body is not valid JSON.", code="InvalidRequestContent"
            ) from None
        if not isinstance(value, dict):
            raise workspace_error(
                400, "The request body must be a JSON object.", code="InvalidRequestContent"
            )
        return value


Handler = Callable[["Cloud", Call], Answer]


class Plane(StrEnum):
    """Who answers, which decides how the caller proves who it is and whether a version must be named."""

    OPEN = "open"  # metadata, identity, registry discovery: no token, or any
    ARM = "arm"  # Azure Resource Manager: token and api-version
    REGISTRY = "registry"  # asset service of a registry: token and api-version
    DATA = "data"  # run history, MLflow, discovery: token
    STORAGE = "storage"  # blobs: shared access signature
    SCORING = "scoring"  # endpoints check their own keys and tokens
    CONTROL = "control"  # the emulator's own controls: none


class Evidence(StrEnum):
    """Where an operation's behaviour comes from."""

    RECORDED = "recorded"  # traffic of the real service in Azure's public test recordings
    DRIVEN = (
        "driven"  # the shape that azure-ai-ml 1.35.2 sends and accepts; the service's answer was not seen
    )
    CHOSEN = "chosen"  # not established; the sensible choice


@dataclass(frozen=True, slots=True)
class Route:
    """An operation the emulator answers.

    Attributes:
        operation: Family and verb, ``endpoints.put``; faults and the coverage table call it by this name.
        template: Path with ``{name}`` for one segment and ``{name*}`` for the rest.
    """

    operation: str
    method: str
    template: str
    handler: Handler
    plane: Plane = Plane.ARM
    evidence: Evidence = Evidence.RECORDED


class Router:
    """Finds the route of a path. ARM ignores the case of its path's fixed segments, so this does too."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        self._compiled: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            pattern = re.sub(
                r"\\\{(\w+)(\\\*)?\\\}",
                lambda found: f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})",
                re.escape(route.template),
            )
            compiled = re.compile(f"{pattern}/?", re.IGNORECASE)
            self._compiled.setdefault(route.method, []).append((compiled, route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and the named pieces of the path; None when nothing serves it."""
        for pattern, route in self._compiled.get(method, ()):
            found = pattern.fullmatch(path)
            if found:
                return route, found.groupdict()
        return None
