"""Tokens: a managed identity that issues them, and the check of those that come in.

Tokens are JWTs signed with a secret that only the emulator knows, so that a token of another emulator, or one
that a test made up, is refused as the service would refuse it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any

from local.azureml.errors import arm_error
from local.azureml.wire import Answer, Call, Evidence, Plane, Route, json_answer

if TYPE_CHECKING:
    from local.azureml.cloud import Cloud

LIFETIME_SECONDS = 24 * 3600
ML_AUDIENCE = "https://ml.azure.com"
_ARM_AUDIENCES = ("https://management.core.windows.net", "https://management.azure.com")
_OBJECT_ID = "00000000-0000-0000-0000-0000000000cc"
_CLIENT_ID = "00000000-0000-0000-0000-0000000000dd"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Issuer:
    """Signs tokens and checks them (JWT, HMAC with SHA-256)."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(32)

    def issue(self, claims: dict[str, Any]) -> str:
        """A signed token that carries the claims."""
        header = _b64(b'{"alg":"HS256","typ":"JWT"}')
        signed = f"{header}.{_b64(json.dumps(claims).encode())}"
        return f"{signed}.{_b64(self._sign(signed))}"

    def read(self, token: str) -> dict[str, Any] | None:
        """The claims of a token of ours; None when it is malformed or someone else's."""
        signed, _, signature = token.rpartition(".")
        try:
            if not hmac.compare_digest(self._sign(signed), _unb64(signature)):
                return None
            claims: dict[str, Any] = json.loads(_unb64(signed.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        return claims

    def _sign(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode(), hashlib.sha256)


def bearer(headers: dict[str, str]) -> str | None:
    """The token of an ``Authorization: Bearer`` header, if there is one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def authenticate(cloud: Cloud, call: Call, audiences: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Checks the bearer token of a call.

    Args:
        cloud: The emulated subscription.
        call: The request.
        audiences: Accepted ``aud`` values, without a slash at the end; those of ARM and Azure ML by default.

    Returns:
        The token's claims.

    Raises:
        ServiceError: 401 when the token is missing, malformed, expired or meant for someone else.
    """
    challenge = {
        "WWW-Authenticate": f'Bearer authorization_uri="{call.base}/{cloud.settings.tenant}", '
        'error="invalid_token", error_description="The access token is invalid or missing."'
    }
    token = bearer(call.headers)
    if token is None:
        raise arm_error(
            401,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
            challenge,
        )
    claims = cloud.issuer.read(token)
    if claims is None:
        raise arm_error(401, "InvalidAuthenticationToken", "The access token is invalid.", challenge)
    if float(claims.get("exp", 0)) <= cloud.clock.now().timestamp():
        raise arm_error(
            401,
            "ExpiredAuthenticationToken",
            "The access token expiry UTC time is earlier than now.",
            challenge,
        )
    accepted = audiences or (*_ARM_AUDIENCES, ML_AUDIENCE, call.base)
    audience = str(claims.get("aud", "")).rstrip("/")
    # azureml-mlflow keeps the audience of the first cloud a process has seen: any port of this host will do.
    if audience not in accepted and _host(audience) != _host(call.base):
        raise arm_error(
            401,
            "InvalidAuthenticationTokenAudience",
            "The access token has been obtained for wrong audience or resource "
            f"'{claims.get('aud')}'. It should exactly match with one of the allowed audiences "
            f"{', '.join(repr(audience) for audience in accepted)}.",
            challenge,
        )
    return claims


def _host(url: str) -> str:
    """Scheme and host without the port."""
    return url.rpartition(":")[0]


def _metadata(cloud: Cloud, call: Call) -> Answer:
    root = call.base + "/"
    host = call.base.removeprefix("https://")
    environment = {
        "name": cloud.settings.cloud_name,
        # The portal decides which audience azure-ai-ml asks tokens for.
        "portal": "https://portal.azure.com/",
        "resourceManager": root,
        "authentication": {
            "loginEndpoint": root,
            "audiences": [f"{audience}/" for audience in _ARM_AUDIENCES],
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
    return json_answer([environment])


def _token(cloud: Cloud, call: Call) -> Answer:
    """App Service's managed identity endpoint, api-version 2019-08-01."""
    if not hmac.compare_digest(call.headers.get("x-identity-header", ""), cloud.settings.identity_secret):
        return json_answer({"statusCode": 401, "message": "The identity header does not match."}, 401)
    resource = call.query.get("resource", "")
    if not resource:
        return json_answer({"statusCode": 400, "message": "The resource parameter is required."}, 400)
    now = int(cloud.clock.now().timestamp())
    claims = {
        "aud": resource,
        "iss": f"{call.base}/{cloud.settings.tenant}/",
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "tid": cloud.settings.tenant,
        "oid": _OBJECT_ID,
        "sub": _OBJECT_ID,
        "appid": _CLIENT_ID,
    }
    return json_answer(
        {
            "access_token": cloud.issuer.issue(claims),
            "expires_on": str(claims["exp"]),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": _CLIENT_ID,
        }
    )


ROUTES = (
    Route("metadata.get", "GET", "/metadata/endpoints", _metadata, Plane.OPEN, Evidence.DRIVEN),
    Route("identity.token", "GET", "/msi/token", _token, Plane.OPEN, Evidence.DRIVEN),
)
