"""Credentials of an endpoint: list its keys, regenerate them, issue a token."""

from __future__ import annotations

import secrets

from azureml_emulator.arm.endpoints import accepted, find
from azureml_emulator.core import operations
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.resources import LongRunning
from azureml_emulator.core.routing import WORKSPACE, Route
from azureml_emulator.core.serving_bodies import RegenerateBody
from azureml_emulator.core.state import Completion, EmulatorState

TOKEN_SECONDS, REFRESH_SECONDS = 86_340, 43_140  # recorded: a minute under a day and half a day


def _list_keys(state: EmulatorState, request: Request) -> Response:
    endpoint = find(state, request)
    if endpoint.properties["authMode"] != "Key":
        raise state.error(
            400, "Keys can be listed only for endpoints whose authMode is Key.", code="BadRequest"
        )
    return json_response({"primaryKey": endpoint.primary_key, "secondaryKey": endpoint.secondary_key})


def _regenerate(state: EmulatorState, request: Request) -> Response:
    document = state.body(request)
    kind = document.get("keyType")
    if kind not in ("Primary", "Secondary"):
        raise state.error(400, f"keyType must be Primary or Secondary, not '{kind}'.", code="BadRequest")
    with state.lock:
        endpoint = find(state, request)
        name = endpoint.name.lower()
        operation = operations.begin(
            state, f"endpoint.regenerate_{kind.lower()}", "oeidp", name, state.pace.cancel
        )
    return accepted(state, request, operation)


def _token(state: EmulatorState, request: Request) -> Response:
    endpoint = find(state, request)
    if endpoint.properties["authMode"] != "AMLToken":
        raise state.error(
            400, "Tokens are issued only for endpoints whose authMode is AMLToken.", code="BadRequest"
        )
    now = int(state.clock.now().timestamp())
    claims = {"aud": f"endpoint/{endpoint.name}", "exp": now + TOKEN_SECONDS}
    return json_response(
        {
            "accessToken": state.issuer.issue(claims),
            "tokenType": "Bearer",
            "expiryTimeUtc": now + TOKEN_SECONDS,
            "refreshAfterTimeUtc": now + REFRESH_SECONDS,
        }
    )


def _regenerated(field: str) -> Completion:
    def complete(state: EmulatorState, operation: LongRunning) -> None:
        endpoint = state.endpoints.get(operation.target)
        if endpoint is not None and operation.status == "Succeeded":
            setattr(endpoint, field, secrets.token_urlsafe(24))
            state.endpoints.put(operation.target, endpoint)

    return complete


COMPLETIONS = {
    "endpoint.regenerate_primary": _regenerated("primary_key"),
    "endpoint.regenerate_secondary": _regenerated("secondary_key"),
}
_ONE = f"{WORKSPACE}/onlineEndpoints/{{endpoint}}"
ROUTES = (
    Route("endpoints.list_keys", "POST", f"{_ONE}/listKeys", _list_keys),
    Route(
        "endpoints.regenerate_keys",
        "POST",
        f"{_ONE}/regenerateKeys",
        _regenerate,
        body=RegenerateBody,
    ),
    Route("endpoints.token", "POST", f"{_ONE}/token", _token),
)
