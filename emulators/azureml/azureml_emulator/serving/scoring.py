"""Scoring: the requests to an endpoint's scoring URI, within the platform's limits.

Statuses are those of Azure's "Troubleshoot online endpoints" (401, 403, 404, 408, 413, 424, 429).
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from azureml_emulator.core import operations
from azureml_emulator.core.errors import ServiceError
from azureml_emulator.core.faults import Container
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.request_bodies import Sampling, type_error
from azureml_emulator.core.resources import Deployment, Endpoint
from azureml_emulator.core.routing import Evidence, Plane, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.tokens import ML_AUDIENCE, bearer
from azureml_emulator.serving.served_model import ModelUnusableError, load
from azureml_emulator.training.chat_model import answer

REQUEST_BYTES = 1_500_000
"""Largest request of a managed online endpoint (1.5 MB, "Manage resource quotas")."""


@dataclass(slots=True)
class Pending:
    """Requests a deployment is working on or has queued, and the slots of its instances."""

    slots: threading.Semaphore
    capacity: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0


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
    container = state.faults.container_of(key) or Container()
    reply = _within_limits(state, request, deployment, key, container)
    elapsed = (time.perf_counter() - began) * 1000
    return json_response(
        reply,
        headers={
            "azureml-model-deployment": deployment.name,
            "azureml-model-session": deployment.name,
            "Server": "azureml-frontdoor",
            "x-ms-run-fn-exec-ms": f"{elapsed:.3f}",
            "x-ms-run-function-failed": "False",
            "x-ms-server-version": "azmlinfsrv/1.2.2",
            "X-Request-ID": request.headers.get("x-request-id") or str(uuid.uuid4()),
        },
    )


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
        raise _refuse(502, "The deployment's container is not running.")
    operation = state.operations.get(deployment.operation)
    if operation is not None and operation.kind == "deployment.create" and not operation.settled:
        raise _refuse(404, f"Deployment '{name}' is not ready.")
    return deployment


def _within_limits(
    state: EmulatorState, request: Request, deployment: Deployment, key: str, container: Container
) -> list[dict[str, str]]:
    """Runs the container: up to ``capacity`` requests at once, as many again queued, 429 for the rest."""
    settings = deployment.properties["requestSettings"]
    capacity = int(settings["maxConcurrentRequestsPerInstance"]) * int(deployment.sku["capacity"])
    timeout = msgspec.convert(settings["requestTimeout"], timedelta).total_seconds()
    with state.lock:
        pending = state.pending.get(key)
        if pending is None or pending.capacity != capacity:
            pending = state.pending[key] = Pending(threading.Semaphore(capacity), capacity)
    with pending.lock:
        if pending.count >= 2 * capacity:
            raise _refuse(
                429, "Too many pending requests.", {"ms-azureml-model-error-reason": "too_many_requests"}
            )
        pending.count += 1
    try:
        began = time.perf_counter()
        if not pending.slots.acquire(timeout=timeout):
            raise _timeout(timeout)
        try:
            if container.seconds:
                time.sleep(min(container.seconds, timeout))
            if container.seconds >= timeout or time.perf_counter() - began > timeout:
                raise _timeout(timeout)
            return _container(state, request, deployment, key, container)
        finally:
            pending.slots.release()
    finally:
        with pending.lock:
            pending.count -= 1


def _timeout(seconds: float) -> ServiceError:
    return _refuse(408, f"upstream request timeout after {seconds:g} s")


def _container(
    state: EmulatorState, request: Request, deployment: Deployment, key: str, container: Container
) -> list[dict[str, str]]:
    if container.status != 200:
        raise _model_error(deployment, container.status, container.reason)
    try:
        payload = json.loads(request.body)
        conversations, parameters = _conversations(payload)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _model_error(deployment, 400, f"Could not read the request: {error!r}") from None
    model = state.models.get(key)
    if model is None:  # the emulator was restarted since the deployment was made
        try:
            model = state.models[key] = load(state, str(deployment.properties.get("model") or ""))
        except ModelUnusableError as error:
            raise _model_error(deployment, 500, str(error)) from None
    return [{"output": answer(model, messages, parameters)} for messages in conversations]


def _conversations(payload: Any) -> tuple[list[list[dict[str, Any]]], dict[str, Any]]:
    """Azure ML's chat payload: one conversation, or a list of them."""
    data = payload["input_data"]
    given, parameters = data["input_string"], data.get("parameters") or {}
    wrong = type_error(parameters, Sampling)
    if wrong is not None:
        raise ValueError(wrong)
    if not isinstance(given, list) or not given:
        raise ValueError("input_string must be a list of messages or of conversations")
    conversations = [given] if isinstance(given[0], dict) else given
    for conversation in conversations:
        for message in conversation:
            if not isinstance(message, dict) or not isinstance(message.get("content"), str):
                raise TypeError("a message needs a role and a text as content")
    # A dataset row ends with the assistant's turn, which is the one to predict.
    return [_without_last_answer(conversation) for conversation in conversations], parameters


def _without_last_answer(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last_is_answer = len(messages) > 1 and messages[-1].get("role") == "assistant"
    return messages[:-1] if last_is_answer else messages


def _model_error(deployment: Deployment, status: int, reason: str) -> ServiceError:
    """424: the model answered with something other than 200, which the headers tell."""
    reason = reason.encode("latin-1", "replace").decode("latin-1").replace("\n", " ")
    return ServiceError(
        json_response(
            {"message": reason},
            424,
            {
                "ms-azureml-model-error-statuscode": str(status),
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
    Route("score", "POST", "/_scoring/{endpoint}/score", _score, Plane.SCORING),
    Route(
        "score.swagger", "GET", "/_scoring/{endpoint}/swagger.json", _swagger, Plane.SCORING, Evidence.CHOSEN
    ),
)
