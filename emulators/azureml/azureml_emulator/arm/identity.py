"""Cloud metadata, and a managed identity that issues tokens."""

from __future__ import annotations

import hmac

from azureml_emulator.core.authentication import ARM_AUDIENCES
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.routing import Plane, Route
from azureml_emulator.core.state import EmulatorState

LIFETIME_SECONDS = 24 * 3600
_OBJECT_ID = "00000000-0000-0000-0000-0000000000cc"
_CLIENT_ID = "00000000-0000-0000-0000-0000000000dd"


def _metadata(state: EmulatorState, request: Request) -> Response:
    root = request.base + "/"
    host = request.base.removeprefix("https://")
    environment = {
        "name": state.settings.cloud_name,
        # The portal decides which audience azure-ai-ml asks tokens for.
        "portal": "https://portal.azure.com/",
        "resourceManager": root,
        "authentication": {
            "loginEndpoint": root,
            "audiences": [f"{audience}/" for audience in ARM_AUDIENCES],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        # Clients write https://{account}.blob.{suffix}: what is before the @ becomes URL user information,
        # so that every account leads here without any name resolution.
        "suffixes": {"storage": f"@{host}"},
    }
    for name in (
        "sqlManagement",
        "batch",
        "gallery",
        "graphAudience",
        "vmImageAliasDoc",
        "media",
        "activeDirectoryDataLake",
    ):
        environment[name] = root
    return json_response([environment])


def _token(state: EmulatorState, request: Request) -> Response:
    """App Service's managed identity endpoint, api-version 2019-08-01."""
    if not hmac.compare_digest(request.headers.get("x-identity-header", ""), state.settings.identity_secret):
        return json_response({"statusCode": 401, "message": "The identity header does not match."}, 401)
    resource = request.query.get("resource", "")
    if not resource:
        return json_response({"statusCode": 400, "message": "The resource parameter is required."}, 400)
    now = int(state.clock.now().timestamp())
    claims = {
        "aud": resource,
        "iss": f"{request.base}/{state.settings.tenant}/",
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "tid": state.settings.tenant,
        "oid": _OBJECT_ID,
        "sub": _OBJECT_ID,
        "appid": _CLIENT_ID,
    }
    return json_response(
        {
            "access_token": state.issuer.issue(claims),
            "expires_on": str(claims["exp"]),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": _CLIENT_ID,
        }
    )


ROUTES = (
    Route("metadata.get", "GET", "/metadata/endpoints", _metadata, Plane.OPEN),
    Route(
        "identity.token",
        "GET",
        "/msi/token",
        _token,
        Plane.OPEN,
        query=("resource",),
        headers=("x-identity-header",),
    ),
)
