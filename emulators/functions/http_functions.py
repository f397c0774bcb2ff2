"""The app's HTTP functions: routing, keys, request and response."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from emulators.functions.bindings import http_request, http_response
from emulators.functions.http_proxy import HttpProxy
from emulators.functions.indexing import Function
from emulators.functions.invocation import Invoker
from emulators.functions.keys import check_key
from emulators.functions.messages import Message
from emulators.functions.routes import RouteTemplate


@dataclass(frozen=True, slots=True)
class _Endpoint:
    template: RouteTemplate
    methods: frozenset[str]
    function: Function


class HttpFunctions:
    """Answers every request under the route prefix."""

    def __init__(
        self,
        functions: Sequence[Function],
        route_prefix: str,
        key: str,
        invoker: Invoker,
        proxy: HttpProxy | None,
    ) -> None:
        """Read the routes of the functions that have an HTTP trigger.

        Args:
            functions: Of two that declare the same route the first is called.
            route_prefix: The first segment of their paths; may be empty.
            key: What calls are made with.
            invoker: Runs the functions.
            proxy: Where requests go if the worker takes them itself.

        Raises:
            UnservableAppError: A route cannot be read.
        """
        self._prefix = f"/{route_prefix.strip('/')}".rstrip("/")
        self._key = key
        self._invoker = invoker
        self._proxy = proxy
        self.in_work: set[asyncio.Task[Message | None]] = set()
        self._endpoints = sorted(
            map(_endpoint, functions), key=lambda endpoint: endpoint.template.specificity
        )

    async def answer(self, request: Request) -> Response:
        """Route, authorise, then invoke and render, or pass on to the worker's server.

        Raises:
            HTTPException: No function answers there, or a key is missing.
            InvocationError: The function failed.
        """
        function, route = self._find(request)
        if function.trigger.text("authLevel").upper() != "ANONYMOUS":
            check_key(request, self._key)
        if self._proxy is None:
            return await self._invoke(request, function, route)
        invocation_id = str(uuid.uuid4())
        value = http_request(method=request.method, url=_address(request), route=route)
        invocation = asyncio.create_task(self._invoker.invoke(function, value, invocation_id))
        self.in_work.add(invocation)
        invocation.add_done_callback(self.in_work.discard)
        return await self._proxy.forward(request, invocation, invocation_id)

    async def _invoke(self, request: Request, function: Function, route: dict[str, str]) -> Response:
        # The .NET host looks at a body only if its length was declared.
        body = await request.body() if request.headers.get("content-length") else b""
        value = http_request(
            method=request.method,
            url=_address(request),
            route=route,
            headers=_joined(request.headers),
            query={name: text for name, text in _joined(request.query_params).items() if text},
            body=body,
        )
        returned = await self._invoker.invoke(function, value)
        return Response(status_code=204) if returned is None else http_response(returned)

    def _find(self, request: Request) -> tuple[Function, dict[str, str]]:
        raw_path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        other_methods: set[str] = set()
        for endpoint in self._endpoints if raw_path.startswith(f"{self._prefix}/") else ():
            if (values := endpoint.template.match(raw_path.removeprefix(self._prefix))) is None:
                continue
            if not endpoint.methods or request.method in endpoint.methods:
                return endpoint.function, values
            other_methods |= endpoint.methods
        # Not 405, HEAD included, as the platform: https://github.com/Azure/azure-functions-host/issues/10098
        answers = f"; it answers {', '.join(sorted(other_methods))}" if other_methods else ""
        raise HTTPException(404, f"nothing is served at this path with this method{answers}")


def _endpoint(function: Function) -> _Endpoint:
    methods = function.trigger.properties.get("methods") or ()
    template = RouteTemplate(function.trigger.text("route") or function.name)
    return _Endpoint(template, frozenset(str(method).upper() for method in methods), function)


def _address(request: Request) -> str:
    """The address as it was sent: Starlette's own has lost the percent-encoding of the path."""
    path, query = request.scope["raw_path"], request.scope["query_string"]
    host = request.headers.get("host", "127.0.0.1")
    target = path + (b"?" + query if query else b"")
    return f"{request.scope['scheme']}://{host}{target.decode('latin-1')}"


def _joined(values: Headers | QueryParams) -> dict[str, str]:
    """Repeated values as .NET's StringValues writes them: joined with commas, empty ones left out."""
    return {name: ",".join(filter(None, values.getlist(name))) for name in values.keys()}  # noqa: SIM118
