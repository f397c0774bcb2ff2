"""Where every request arrives: it is routed, checked, perhaps altered by a fault, served and recorded.

Handlers are plain functions and run in threads, so that a request that trains or reads storage does not
block others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from functools import partial
from typing import Any

import anyio.to_thread
from starlette import requests, responses
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from azureml_emulator.core import operations, strictness
from azureml_emulator.core.authentication import authenticate
from azureml_emulator.core.clock import wire_time
from azureml_emulator.core.errors import ServiceError, arm_error
from azureml_emulator.core.faults import Fault
from azureml_emulator.core.http import Chunks, Request, Response, json_response
from azureml_emulator.core.routing import Plane, Route, Router
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.dataplane import blobs

THREADS = 512
"""Requests in progress at once; others wait."""

_log = logging.getLogger(__name__)
TRANSPORT = "emulator.transport"


class AbortableProtocol(H11Protocol):
    """HTTP/1.1 that lets the application close the connection without an answer, as a broken network does."""

    def connection_made(self, transport: Any) -> None:
        """Lets requests of this connection reach its transport."""
        super().connection_made(transport)
        inner = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = with_transport

    def shutdown(self) -> None:
        """Closes at once: a client that keeps its connection would hold up the end of the TLS session."""
        super().shutdown()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class Server:
    """The ASGI application of one emulator."""

    def __init__(self, state: EmulatorState, routes: tuple[Route, ...]) -> None:
        self.state = state
        self._router = Router(tuple(route for route in routes if route.plane is not Plane.STORAGE))
        # Blob addresses are any two segments: only a storage client's own header tells them apart.
        self._blob_router = Router(tuple(route for route in routes if route.plane is Plane.STORAGE))
        self._limiter: anyio.CapacityLimiter | None = None

    def application(self) -> Starlette:
        """An application that sends every path here."""
        application = Starlette()
        application.router.default = self._serve
        return application

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = await _read(requests.Request(scope, receive))
        router = self._blob_router if _is_blob(request) else self._router
        found = router.find(request.method, request.path)
        route = found[0] if found else None
        if found:
            request.parameters = found[1]
        fault = None
        if route is None or route.plane is not Plane.CONTROL:
            fault = self.state.faults.on_call(route.operation if route else "", request.method, request.path)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault and fault.reset:
            self._record(request, route, None)
            _abort(scope)
            return
        response = await self._respond(request, route, fault)
        self._record(request, route, response.status)
        if fault and fault.lost_answer:
            _abort(scope)
            return
        if response.chunks is not None:
            await self._stream(response, response.chunks, scope, receive, send)
        else:
            await _render(response, fault)(scope, receive, send)

    async def _respond(self, request: Request, route: Route | None, fault: Fault | None) -> Response:
        if fault and fault.status is not None:
            body = fault.body.encode() if isinstance(fault.body, str) else None
            if body is not None or fault.body is None:
                return Response(fault.status, body or b"", dict(fault.headers))
            return json_response(fault.body, fault.status, fault.headers)
        if route is None:
            return _not_implemented(request)
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(partial(self._work, request, route), limiter=self._limiter)

    def _work(self, request: Request, route: Route) -> Response:
        state = self.state
        try:
            if route.plane is not Plane.OPEN and route.plane is not Plane.CONTROL:
                operations.settle(state)
            refusal = _admit(state, request, route)
            if refusal is None:
                request.body_type = route.body
                strictness.check(state, request, route)
            response = refusal or route.handler(state, request)
        except ServiceError as error:
            response = error.response
        except Exception:  # the edge: one broken call must not break the connection that others use
            _log.exception("call failed", extra={"operation": route.operation})
            response = json_response(
                {"error": {"code": "InternalServerError", "message": "The emulator failed; see its log."}},
                500,
            )
        if route.plane in (Plane.ARM, Plane.REGISTRY):
            response.headers = {**_resource_manager_headers(request, route), **response.headers}
        return response

    async def _stream(
        self, response: Response, chunks: Chunks, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Sends chunks as they come; a client that disconnects ends the generator."""
        headers = [
            (name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        gone = asyncio.create_task(_disconnected(receive))
        try:
            while not gone.done():
                chunk = await anyio.to_thread.run_sync(_next, chunks, limiter=self._limiter)
                if chunk is None:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except ConnectionAbortedError:
            _abort(scope)
        finally:
            gone.cancel()
            await anyio.to_thread.run_sync(chunks.close, limiter=self._limiter)

    def _record(self, request: Request, route: Route | None, status: int | None) -> None:
        if route is not None and route.plane is Plane.CONTROL:
            return
        self.state.calls.append(
            {
                "time": wire_time(self.state.clock.now()),
                "operation": route.operation if route else None,
                "method": request.method,
                "path": request.path,
                "query": {key: value for key, value in request.query.items() if key != "sig"},
                "status": status,
            }
        )


async def _read(received: requests.Request) -> Request:
    host = received.headers.get("host", "127.0.0.1")
    return Request(
        method=received.method,
        path=received.url.path,
        base=f"https://{host}",
        query=dict(received.query_params),
        headers={key.lower(): value for key, value in received.headers.items()},
        body=await received.body(),
    )


def _is_blob(request: Request) -> bool:
    return "x-ms-version" in request.headers and not request.path.startswith("/subscriptions/")


def _admit(state: EmulatorState, request: Request, route: Route) -> Response | None:
    """Checks who calls, and that the version and the names of the path are those of this subscription."""
    if route.plane is Plane.STORAGE:
        return blobs.authorize(state, request)
    if route.plane in (Plane.OPEN, Plane.CONTROL, Plane.SCORING):
        return None
    request.claims = authenticate(state, request)
    if route.plane in (Plane.ARM, Plane.REGISTRY):
        _check_version(request)
    _check_names(state, request)
    return None


def _check_version(request: Request) -> None:
    version = request.query.get("api-version")
    if not version:
        raise arm_error(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    digits = version[:10].split("-")
    well_formed = [len(part) for part in digits] == [4, 2, 2] and "".join(digits).isdigit()
    if not well_formed and version not in ("v1.0", "1.0"):
        raise arm_error(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")


def _check_names(state: EmulatorState, request: Request) -> None:
    settings, given = state.settings, request.parameters
    if "/registries/" in request.path.lower():
        return
    if given.get("subscription", settings.subscription).lower() != settings.subscription.lower():
        raise arm_error(
            404, "SubscriptionNotFound", f"The subscription '{given['subscription']}' could not be found."
        )
    if given.get("group", settings.resource_group).lower() != settings.resource_group.lower():
        raise arm_error(
            404, "ResourceGroupNotFound", f"Resource group '{given['group']}' could not be found."
        )
    if given.get("workspace", settings.workspace).lower() != settings.workspace.lower():
        raise arm_error(
            404,
            "ResourceNotFound",
            f"The Resource 'Microsoft.MachineLearningServices/workspaces/{given['workspace']}' under "
            f"resource group '{given['group']}' was not found. For more details please go to "
            "https://aka.ms/ARMResourceNotFoundFix",
        )
    if given.get("location", settings.location).lower() != settings.location.lower():
        raise arm_error(
            400,
            "LocationNotAvailableForResourceType",
            f"The provided location '{given['location']}' is not available. List of available regions is "
            f"'{settings.location}'.",
        )


def _resource_manager_headers(request: Request, route: Route) -> dict[str, str]:
    kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(request.method, "writes")
    if route.operation == "deployments.put":
        kind = "resource-requests"
    identifier = str(uuid.uuid4())
    return {
        "x-ms-request-id": secrets.token_hex(16),
        "x-ms-correlation-request-id": identifier,
        "x-ms-response-type": "standard",
        f"x-ms-ratelimit-remaining-subscription-{kind}": "11999",
    }


def _not_implemented(request: Request) -> Response:
    message = f"The emulator does not serve {request.method} {request.path}. Its README lists what it does."
    return json_response({"error": {"code": "NotImplemented", "message": message}}, 501)


def _abort(scope: Scope) -> None:
    scope[TRANSPORT].abort()


def _render(response: Response, fault: Fault | None) -> responses.Response:
    pause = response.pause or (fault.slow_body if fault else 0.0)
    rendered: responses.Response
    if not pause:
        rendered = responses.Response(response.body, response.status)
    else:

        async def halves() -> Any:
            middle = len(response.body) // 2
            yield response.body[:middle]
            await asyncio.sleep(pause)
            yield response.body[middle:]

        rendered = responses.StreamingResponse(halves(), response.status)
        rendered.headers["Content-Length"] = str(len(response.body))
    for name, value in response.headers.items():
        rendered.headers[name] = value
    return rendered


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _next(chunks: Chunks) -> bytes | None:
    """The next chunk; None at the end. StopIteration cannot leave a thread."""
    try:
        return chunks.__next__()
    except StopIteration:
        return None
