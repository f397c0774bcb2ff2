"""The front door of online endpoints: who may call, which deployment answers, and the platform's limits.

Statuses are those of Azure's "Troubleshoot online endpoints" (401, 403, 404, 408, 413, 424, 429).
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from azureml_emulator.core import operations
from azureml_emulator.core.errors import ServiceError
from azureml_emulator.core.faults import Container as ContainerFault
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.resources import Deployment, Endpoint
from azureml_emulator.core.routing import Evidence, Plane, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.tokens import ML_AUDIENCE, bearer
from azureml_emulator.serving.container import (
    Container,
    ContainerCrashedError,
    ContainerRequest,
    ContainerStatusError,
    EventStream,
)
from azureml_emulator.serving.foundation_model_server import SERVER_PORT
from azureml_emulator.serving.images import environment_image
from azureml_emulator.serving.start import start

REQUEST_BYTES = 1_500_000
"""Largest request of a managed online endpoint (1.5 MB, "Manage resource quotas")."""

_EXTRA_PARAMETERS = "extra-parameters"


@dataclass(slots=True)
class Pending:
    """Requests that a deployment works on or has queued, and the free workers of its instances."""

    workers: threading.Semaphore
    capacity: int
    size: tuple[int, int | None]
    lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0


class Admission:
    """A request's turn at a worker, from its being let in to its end."""

    def __init__(self, pending: Pending) -> None:
        self._pending = pending
        self._lock = threading.Lock()
        self._works = self._over = False

    def begin(self, timeout: float) -> bool:
        """Waits for a free worker; False if there was none in time."""
        self._works = self._pending.workers.acquire(timeout=timeout)
        return self._works

    def end(self) -> None:
        """Frees the worker and the place in the queue. Ending twice is fine."""
        with self._lock:
            if self._over:
                return
            self._over = True
        if self._works:
            self._pending.workers.release()
        with self._pending.lock:
            self._pending.count -= 1


class Stream:
    """A container's event stream as it passes the front door; closing it ends the generation behind it."""

    def __init__(
        self, chunks: Generator[bytes, None, None], admission: Admission, until: float, cut_after: int | None
    ) -> None:
        self._chunks, self._admission = chunks, admission
        self._until, self._left = until, cut_after

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        if self._left == 0 or time.monotonic() > self._until:
            raise ConnectionAbortedError
        if self._left is not None:
            self._left -= 1
        return next(self._chunks)

    def close(self) -> None:
        """Ends the generation and frees its worker."""
        self._chunks.close()
        self._admission.end()


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> ServiceError:
    return ServiceError(json_response({"message": message}, status, headers))


def _score(state: EmulatorState, request: Request) -> Response:
    began = time.perf_counter()
    endpoint = _endpoint(state, request)
    _authorize(state, request, endpoint)
    if len(request.body) > REQUEST_BYTES:
        raise _refuse(413, f"The request is larger than {REQUEST_BYTES} bytes.")
    deployment = _route(state, request, endpoint)
    key = f"{endpoint.name.lower()}/{deployment.name}"
    headers = {
        "azureml-model-deployment": deployment.name,
        "azureml-model-session": deployment.name,
        "Server": "azureml-frontdoor",
        "x-ms-run-function-failed": "False",
        "x-ms-server-version": "azmlinfsrv/1.2.2",
        "X-Request-ID": request.headers.get("x-request-id") or str(uuid.uuid4()),
    }
    answer = _within_limits(state, request, deployment, key)
    if isinstance(answer, Stream):
        if state.switches.streaming == "buffered":
            answer = _buffered(answer)
        return Response(200, headers={"Content-Type": "text/event-stream", **headers}, chunks=answer)
    elapsed = (time.perf_counter() - began) * 1000
    return json_response(answer, headers={**headers, "x-ms-run-fn-exec-ms": f"{elapsed:.3f}"})


def _buffered(stream: Stream) -> Generator[bytes, None, None]:
    try:
        yield b"".join(stream)
    finally:
        stream.close()


def _endpoint(state: EmulatorState, request: Request) -> Endpoint:
    endpoint = state.endpoints.get(request["endpoint"].lower())
    if endpoint is None or not endpoint.provisioned:
        raise _refuse(404, f"Endpoint {request['endpoint']} was not found.")
    return endpoint


def _authorize(state: EmulatorState, request: Request, endpoint: Endpoint) -> None:
    token, mode = bearer(request.headers), endpoint.properties["authMode"]
    if token is None:
        raise _refuse(
            401, "key_auth_bad_header_missing" if mode == "Key" else "token_auth_bad_header_missing"
        )
    if mode == "Key":
        if token not in (endpoint.primary_key, endpoint.secondary_key):
            raise _refuse(401, "key_auth_access_denied")
        return
    claims = state.issuer.read(token) or {}
    audience = ML_AUDIENCE if mode == "AADToken" else f"endpoint/{endpoint.name}"
    if str(claims.get("aud", "")).rstrip("/") != audience:
        raise _refuse(401, "token_auth_access_denied")
    if float(claims.get("exp", 0)) <= state.clock.now().timestamp():
        raise _refuse(401, "token_auth_expired")


def _route(state: EmulatorState, request: Request, endpoint: Endpoint) -> Deployment:
    """The deployment that the header names, or one that the traffic rules draw."""
    name = request.headers.get("azureml-model-deployment")
    if name is None:
        shares = {
            key: share for key, share in (endpoint.properties.get("traffic") or {}).items() if share > 0
        }
        if not shares:
            raise _refuse(404, "No deployment of the endpoint has positive traffic.")
        name = random.choices(list(shares), list(shares.values()))[0]  # noqa: S311  # a share, not a secret
    deployment = state.deployments.get(f"{endpoint.name.lower()}/{name}")
    if deployment is None:
        raise _refuse(404, f"The endpoint has no deployment '{name}'.")
    # A deployment that is being updated goes on serving; one that failed, or never came up, does not.
    if operations.state_of(state, deployment.operation, "Succeeded") != "Succeeded":
        raise _refuse(state.switches.failed_deployment_status, "The deployment's container is not running.")
    operation = state.operations.get(deployment.operation)
    if operation is not None and operation.kind == "deployment.create" and not operation.settled:
        raise _refuse(404, f"Deployment '{name}' is not ready.")
    return deployment


def _within_limits(state: EmulatorState, request: Request, deployment: Deployment, key: str) -> Any:
    """Asks the container: up to its capacity at once, as many again queued, 429 for the rest."""
    settings = deployment.properties["requestSettings"]
    fault = state.faults.container_of(key) or ContainerFault()
    timeout = msgspec.convert(settings["requestTimeout"], timedelta).total_seconds()
    deadline = time.monotonic() + timeout
    container = _container(state, key, deployment)
    admission = _admit(state, deployment, key, container)
    try:
        if not admission.begin(timeout):
            raise _timeout(timeout)
        if fault.seconds:
            time.sleep(min(fault.seconds, max(0.0, deadline - time.monotonic())))
        if time.monotonic() >= deadline:
            raise _timeout(timeout)
        if fault.status != 200:
            raise ContainerStatusError(fault.status, fault.reason)
        answer = container.respond(_passed_on(state, request, deployment, deadline))
    except TimeoutError:
        admission.end()
        raise _timeout(timeout) from None
    except ContainerStatusError as error:
        admission.end()
        raise _model_error(deployment, error) from None
    except BaseException:
        admission.end()
        raise
    if isinstance(answer, EventStream):
        until = deadline if state.switches.stream_timeout == "cut" else float("inf")
        return Stream(answer.chunks, admission, until, fault.cut_after)
    admission.end()
    return answer


def _admit(state: EmulatorState, deployment: Deployment, key: str, container: Container) -> Admission:
    """Counts a request in, unless twice the capacity is pending already."""
    instances = int(deployment.sku["capacity"])
    most = int(deployment.properties["requestSettings"]["maxConcurrentRequestsPerInstance"])
    workers = most if container.workers is None else min(most, container.workers)
    size = (most * instances, workers * instances)
    with state.lock:
        pending = state.pending.get(key)
        if pending is None or pending.size != size:
            pending = state.pending[key] = Pending(threading.Semaphore(size[1]), size[0], size)
    with pending.lock:
        if pending.count >= 2 * pending.capacity:
            raise _refuse(
                429, "Too many pending requests.", {"ms-azureml-model-error-reason": "too_many_requests"}
            )
        pending.count += 1
    return Admission(pending)


def _container(state: EmulatorState, key: str, deployment: Deployment) -> Container:
    """The running container; it is started again if the emulator was restarted since."""
    running: Container | None = state.containers.get(key)
    if running is None:
        try:
            running = state.containers[key] = start(state, key, deployment)
        except ContainerCrashedError as error:
            raise _model_error(deployment, ContainerStatusError(500, str(error))) from None
    return running


def _passed_on(
    state: EmulatorState, request: Request, deployment: Deployment, deadline: float
) -> ContainerRequest:
    environment = deployment.properties.get("environmentId")
    image = environment_image(state, environment) if environment else None
    route = image.inference.scoringRoute if image else None
    headers = dict(request.headers)
    if not state.switches.headers_forwarded:
        headers.pop(_EXTRA_PARAMETERS, None)
    return ContainerRequest(
        method=request.method,
        path=f"/{request['path']}",
        port=route.port if route else SERVER_PORT,
        headers=headers,
        body=request.body,
        deadline=deadline,
    )


def _timeout(seconds: float) -> ServiceError:
    return _refuse(408, f"upstream request timeout after {seconds:g} s")


def _model_error(deployment: Deployment, error: ContainerStatusError) -> ServiceError:
    """424: the container answered with something other than 200, which the headers tell."""
    reason = error.reason.encode("latin-1", "replace").decode("latin-1").replace("\n", " ")
    return ServiceError(
        json_response(
            error.body,
            424,
            {
                "ms-azureml-model-error-statuscode": str(error.status),
                "ms-azureml-model-error-reason": reason[:500],
                "azureml-model-deployment": deployment.name,
                "x-ms-run-function-failed": "True",
            },
        )
    )


def _swagger(state: EmulatorState, request: Request) -> Response:
    endpoint = _endpoint(state, request)
    _authorize(state, request, endpoint)
    digest = hashlib.sha256(endpoint.name.encode()).hexdigest()[:8]
    return json_response(
        {
            "swagger": "2.0",
            "info": {"title": endpoint.name, "version": digest},
            "schemes": ["https"],
            "paths": {"/score": {"post": {"operationId": "RunMLService", "responses": {"200": {}}}}},
        }
    )


ROUTES = (
    Route(
        "score",
        "POST",
        "/_scoring/{endpoint}/{path*}",
        _score,
        Plane.SCORING,
        headers=("azureml-model-deployment",),
    ),
    Route(
        "score.swagger", "GET", "/_scoring/{endpoint}/swagger.json", _swagger, Plane.SCORING, Evidence.CHOSEN
    ),
)
