"""The app's HTTP functions: routing, keys, request and response."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from emulators.functions.bindings import http_request, http_response
from emulators.functions.http_proxy import HttpProxy
from emulators.functions.indexing import Function, IndexingError
from emulators.functions.invocation import InvocationError, Invoker
from emulators.functions.requests import BodyTooLargeError, Keys, problem, read_body
from emulators.functions.routes import RouteTemplate, RouteTemplateError

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
        self,
        functions: Sequence[Function],
        route_prefix: str,
        keys: Keys,
        invoker: Invoker,
        proxy: HttpProxy | None,
    ) -> None:
        """Read the routes of the functions that have an HTTP trigger.

        Args:
            functions: The app's functions, of whatever trigger.
            route_prefix: The first segment of their paths; may be empty.
            keys: What calls may be made with.
            invoker: Runs the functions.
            proxy: Where requests go if the worker takes them itself.

        Raises:
            IndexingError: A route cannot be read, or two functions share one.
        """
        self._prefix = f"/{route_prefix}" if route_prefix else ""
        self._keys = keys
        self._invoker = invoker
        self._proxy = proxy
        self.in_work: set[asyncio.Task[object]] = set()
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route, authorise, then invoke and render, or pass on to the worker's server."""
        request = Request(scope, receive)
        found = self._find(request)
        if isinstance(found, Response):
            await found(scope, receive, send)
            return
        endpoint, route = found
        if not self._keys.allows(endpoint.auth_level, request):
            detail = "a valid key is needed, as the x-functions-key header or the code parameter"
            await problem(401, detail)(scope, receive, send)
        elif self._proxy is None:
            response = await self._answer(request, endpoint.function, route)
            await response(scope, receive, send)
        else:
            value = http_request(
                method=request.method, url=_address(request), headers={}, query={}, route=route, body=b""
            )
            invocation_id = str(uuid.uuid4())
            invocation: asyncio.Task[object] = asyncio.create_task(
                self._invoker.invoke(endpoint.function, value, invocation_id)
            )
            self.in_work.add(invocation)
            invocation.add_done_callback(self.in_work.discard)
            forwarded = await self._proxy.forward(request, invocation, invocation_id)
            await forwarded(scope, receive, send)

    async def _answer(self, request: Request, function: Function, route: dict[str, str]) -> ASGIApp:
        try:
            body = await read_body(request)
        except BodyTooLargeError as error:
            return problem(413, str(error))
        value = http_request(
            method=request.method,
            url=_address(request),
            headers=_joined(request.headers),
            query={name: text for name, text in _joined(request.query_params).items() if text},
            route=route,
            # The .NET host looks at a body only if its length was declared.
            body=body if request.headers.get("content-length") else b"",
        )
        try:
            returned = await self._invoker.invoke(function, value)
        except InvocationError as error:
            return problem(500, f"{error}; the host's log tells why")
        try:
            return http_response(returned)
        except Exception:  # whatever a function returns, its caller gets an answer
            log.exception("Response cannot be rendered", extra={"function": function.name})
            return problem(500, f"{function.name} returned no usable response; the host's log tells why")

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


def _joined(values: Headers | QueryParams) -> dict[str, str]:
    """Repeated values as .NET's StringValues writes them: joined with commas, empty ones left out."""
    return {name: ",".join(filter(None, values.getlist(name))) for name in values.keys()}  # noqa: SIM118
