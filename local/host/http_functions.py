"""The app's HTTP functions: routing, keys, request and response."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from local.host.bindings import http_request, http_response
from local.host.indexing import Function, IndexingError
from local.host.invocation import InvocationError, Invoker
from local.host.keys import Keys
from local.host.problems import problem
from local.host.request_body import BodyTooLargeError, read_body
from local.host.routes import RouteTemplate, RouteTemplateError

log = logging.getLogger("host.http")


@dataclass(frozen=True, slots=True)
class _Endpoint:
    template: RouteTemplate
    methods: frozenset[str]
    auth_level: str
    function: Function


class HttpFunctions:
    """Answers every request under the route prefix."""

    def __init__(
        self, functions: Sequence[Function], route_prefix: str, keys: Keys, invoker: Invoker
    ) -> None:
        """Read the routes of the functions that have an HTTP trigger.

        Raises:
            IndexingError: A route cannot be read, or two functions share one.
        """
        self._prefix = f"/{route_prefix}" if route_prefix else ""
        self._keys = keys
        self._invoker = invoker
        endpoints = [_endpoint(function) for function in functions if function.trigger.type == "httpTrigger"]
        self._endpoints = sorted(endpoints, key=lambda endpoint: endpoint.template.specificity)
        _refuse_shared_routes(self._endpoints)

    @property
    def addresses(self) -> list[str]:
        """One line for each endpoint, such as `GET /api/runs`."""
        return [
            f"{', '.join(sorted(endpoint.methods)) or '*'} {self._prefix}/{endpoint.template.template}"
            for endpoint in self._endpoints
        ]

    async def __call__(self, request: Request) -> Response:
        """Route, authorise, invoke, render."""
        found = self._find(request)
        if isinstance(found, Response):
            return found
        endpoint, route_values = found
        if not self._keys.allows(endpoint.auth_level, request):
            return problem(401, "a valid key is needed, as the x-functions-key header or the code parameter")
        try:
            body = await read_body(request)
        except BodyTooLargeError as error:
            return problem(413, str(error))
        argument = http_request(
            method=request.method,
            url=_address(request),
            headers={name: ", ".join(request.headers.getlist(name)) for name in request.headers},
            query={name: ",".join(request.query_params.getlist(name)) for name in request.query_params},
            route=route_values,
            body=body,
        )
        try:
            result = await self._invoker.invoke(endpoint.function, argument)
        except InvocationError as error:
            return problem(500, f"{error}; the host's log tells why")
        return _render(endpoint.function.name, result)

    def _find(self, request: Request) -> tuple[_Endpoint, dict[str, str]] | Response:
        raw_path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        relative = raw_path.removeprefix(self._prefix)
        if self._prefix and (relative == raw_path or not relative.startswith("/")):
            return problem(404, "nothing is served at this path")
        other_methods: set[str] = set()
        for endpoint in self._endpoints:
            values = endpoint.template.match(relative)
            if values is None:
                continue
            if not endpoint.methods or request.method in endpoint.methods:
                return endpoint, values
            other_methods |= endpoint.methods
        if other_methods:
            # As the platform does, HEAD included: https://github.com/Azure/azure-functions-host/issues/10098
            return problem(404, f"this path answers {', '.join(sorted(other_methods))} only")
        return problem(404, "nothing is served at this path")


def _endpoint(function: Function) -> _Endpoint:
    trigger = function.trigger
    try:
        template = RouteTemplate(trigger.text("route") or function.name)
    except RouteTemplateError as error:
        raise IndexingError(f"{function.name}: {error}") from error
    return _Endpoint(
        template=template,
        methods=frozenset(str(method).upper() for method in trigger.properties.get("methods") or ()),
        auth_level=trigger.text("authLevel") or "FUNCTION",
        function=function,
    )


def _address(request: Request) -> str:
    """The address as it was sent: Starlette's own has lost the percent-encoding of the path."""
    path, query = request.scope["raw_path"], request.scope["query_string"]
    host = request.headers.get("host", "127.0.0.1")
    target = path + (b"?" + query if query else b"")
    return f"{request.scope['scheme']}://{host}{target.decode('latin-1')}"


def _refuse_shared_routes(endpoints: Sequence[_Endpoint]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for endpoint in endpoints:
        for method in sorted(endpoint.methods) or ["any method"]:
            key = (method, endpoint.template.template.lower())
            if key in seen:
                raise IndexingError(f"{seen[key]} and {endpoint.function.name} both declare {' '.join(key)}")
            seen[key] = endpoint.function.name


def _render(function: str, result: object) -> Response:
    try:
        status, headers, cookies, body = http_response(result)
        response = Response(body, status, headers)
        for cookie in cookies:
            response.headers.append("set-cookie", cookie)
    except Exception:  # whatever a function returns, its caller gets an answer; the log says what was wrong
        log.exception("Response cannot be rendered", extra={"function": function})
        return problem(500, f"{function} returned no usable response; the host's log tells why")
    return response
