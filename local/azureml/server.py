"""The one way in: every request is matched to a route, checked, perhaps spoilt by a fault, served and noted.

Handlers are plain functions and run in threads, so that one that trains or reads storage holds nobody up.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.azureml import blobs, identity, operations
from local.azureml.clock import wire_time
from local.azureml.cloud import Cloud
from local.azureml.errors import ServiceError, arm_error
from local.azureml.faults import Fault
from local.azureml.wire import Answer, Call, Plane, Route, Router, json_answer

THREADS = 512
"""Requests that are worked on at once; more wait their turn."""

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

    def __init__(self, cloud: Cloud, routes: tuple[Route, ...]) -> None:
        self.cloud = cloud
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
        request = Request(scope, receive)
        call = await _read(request)
        router = self._blob_router if _is_blob(call) else self._router
        found = router.find(call.method, call.path)
        route = found[0] if found else None
        if found:
            call.parameters = found[1]
        fault = None
        if route is None or route.plane is not Plane.CONTROL:
            fault = self.cloud.faults.on_call(route.operation if route else "", call.method, call.path)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault and fault.reset:
            self._note(call, route, None)
            _abort(scope)
            return
        answer = await self._answer(call, route, fault)
        self._note(call, route, answer.status)
        if fault and fault.lost_answer:
            _abort(scope)
            return
        await _render(answer, fault)(scope, receive, send)

    async def _answer(self, call: Call, route: Route | None, fault: Fault | None) -> Answer:
        if fault and fault.status is not None:
            body = fault.body.encode() if isinstance(fault.body, str) else None
            if body is not None or fault.body is None:
                return Answer(fault.status, body or b"", dict(fault.headers))
            return json_answer(fault.body, fault.status, fault.headers)
        if route is None:
            return _not_implemented(call)
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(partial(self._work, call, route), limiter=self._limiter)

    def _work(self, call: Call, route: Route) -> Answer:
        cloud = self.cloud
        try:
            if route.plane is not Plane.OPEN and route.plane is not Plane.CONTROL:
                operations.settle(cloud)
            refusal = _admit(cloud, call, route)
            answer = refusal or route.handler(cloud, call)
        except ServiceError as error:
            answer = error.answer
        except Exception:  # the edge: one broken call must not break the connection that others use
            _log.exception("call failed", extra={"operation": route.operation})
            answer = json_answer(
                {"error": {"code": "InternalServerError", "message": "The emulator failed; see its log."}},
                500,
            )
        if route.plane in (Plane.ARM, Plane.REGISTRY):
            answer.headers = {**_resource_manager_headers(call, route), **answer.headers}
        return answer

    def _note(self, call: Call, route: Route | None, status: int | None) -> None:
        if route is not None and route.plane is Plane.CONTROL:
            return
        self.cloud.calls.append(
            {
                "time": wire_time(self.cloud.clock.now()),
                "operation": route.operation if route else None,
                "method": call.method,
                "path": call.path,
                "query": {key: value for key, value in call.query.items() if key != "sig"},
                "status": status,
            }
        )


async def _read(request: Request) -> Call:
    host = request.headers.get("host", "127.0.0.1")
    return Call(
        method=request.method,
        path=request.url.path,
        base=f"https://{host}",
        query=dict(request.query_params),
        headers={key.lower(): value for key, value in request.headers.items()},
        body=await request.body(),
    )


def _is_blob(call: Call) -> bool:
    return "x-ms-version" in call.headers and not call.path.startswith("/subscriptions/")


def _admit(cloud: Cloud, call: Call, route: Route) -> Answer | None:
    """Checks who calls, and that the version and the names of the path are those of this subscription."""
    if route.plane is Plane.STORAGE:
        return blobs.authorize(cloud, call)
    if route.plane in (Plane.OPEN, Plane.CONTROL, Plane.SCORING):
        return None
    call.claims = identity.authenticate(cloud, call)
    if route.plane in (Plane.ARM, Plane.REGISTRY):
        _check_version(call)
    _check_names(cloud, call)
    return None


def _check_version(call: Call) -> None:
    version = call.query.get("api-version")
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


def _check_names(cloud: Cloud, call: Call) -> None:
    settings, given = cloud.settings, call.parameters
    if "/registries/" in call.path.lower():
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


def _resource_manager_headers(call: Call, route: Route) -> dict[str, str]:
    kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(call.method, "writes")
    if route.operation == "deployments.put":
        kind = "resource-requests"
    identifier = str(uuid.uuid4())
    return {
        "x-ms-request-id": secrets.token_hex(16),
        "x-ms-correlation-request-id": identifier,
        "x-ms-response-type": "standard",
        f"x-ms-ratelimit-remaining-subscription-{kind}": "11999",
    }


def _not_implemented(call: Call) -> Answer:
    message = f"The emulator does not serve {call.method} {call.path}. docs/emulator.md lists what it does."
    return json_answer({"error": {"code": "NotImplemented", "message": message}}, 501)


def _abort(scope: Scope) -> None:
    scope[TRANSPORT].abort()


def _render(answer: Answer, fault: Fault | None) -> Response:
    pause = answer.pause or (fault.slow_body if fault else 0.0)
    if not pause:
        response = Response(answer.body, answer.status)
    else:

        async def halves() -> Any:
            middle = len(answer.body) // 2
            yield answer.body[:middle]
            await asyncio.sleep(pause)
            yield answer.body[middle:]

        response = StreamingResponse(halves(), answer.status)
        response.headers["Content-Length"] = str(len(answer.body))
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response
