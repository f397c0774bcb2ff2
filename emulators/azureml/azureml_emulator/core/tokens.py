"""Tokens: JSON Web Tokens signed with a secret of this emulator, and the check of those that come in.

A token of another emulator, or one that a test made up, is refused as the service would refuse it.
"""

from __future__ import annotations

import secrets
from typing import Any

import jwt
from jwt.types import Options

ML_AUDIENCE = "https://ml.azure.com"
_ALGORITHM = "HS256"


class Issuer:
    """Signs tokens and checks them."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(32)

    def issue(self, claims: dict[str, Any]) -> str:
        """A signed token that carries the claims."""
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def read(self, token: str) -> dict[str, Any] | None:
        """The claims of a token of this issuer; None when it is malformed or was signed by another.

        Expiry and audience are the caller's to check: each plane has its own error for them, and time is
        that of the emulator's clock.
        """
        unchecked: Options = {
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_aud": False,
        }
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._secret, algorithms=[_ALGORITHM], options=unchecked
            )
        except jwt.InvalidTokenError:
            return None
        return claims


def bearer(headers: dict[str, str]) -> str | None:
    """The token of an ``Authorization: Bearer`` header, if there is one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
