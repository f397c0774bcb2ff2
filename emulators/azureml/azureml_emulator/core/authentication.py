"""Checks the bearer token of a request: its signature, its audience and its expiry."""

from __future__ import annotations

from typing import Any

from azureml_emulator.core.errors import arm_error
from azureml_emulator.core.http import Request
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.tokens import ML_AUDIENCE, bearer

ARM_AUDIENCES = ("https://management.core.windows.net", "https://management.azure.com")


def authenticate(
    state: EmulatorState, request: Request, audiences: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """Checks the bearer token of a call.

    Args:
        state: The emulated subscription.
        request: The request.
        audiences: Accepted ``aud`` values, without a slash at the end; those of ARM and Azure ML by default.

    Returns:
        The token's claims.

    Raises:
        ServiceError: 401 when the token is missing, malformed, expired or issued for another audience.
    """
    challenge = {
        "WWW-Authenticate": f'Bearer authorization_uri="{request.base}/{state.settings.tenant}", '
        'error="invalid_token", error_description="The access token is invalid or missing."'
    }
    token = bearer(request.headers)
    if token is None:
        raise arm_error(
            401,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
            challenge,
        )
    claims = state.issuer.read(token)
    if claims is None:
        raise arm_error(401, "InvalidAuthenticationToken", "The access token is invalid.", challenge)
    if float(claims.get("exp", 0)) <= state.clock.now().timestamp():
        raise arm_error(
            401,
            "ExpiredAuthenticationToken",
            "The access token expiry UTC time is earlier than now.",
            challenge,
        )
    accepted = audiences or (*ARM_AUDIENCES, ML_AUDIENCE, request.base)
    audience = str(claims.get("aud", "")).rstrip("/")
    # azureml-mlflow keeps the audience of the first cloud a process has seen: any port of this host will do.
    if audience not in accepted and _host(audience) != _host(request.base):
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
