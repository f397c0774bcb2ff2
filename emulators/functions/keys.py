"""Keys: who may call which endpoint."""

import hmac
from dataclasses import dataclass

from starlette.requests import Request

KEY_HEADER = "x-functions-key"
KEY_PARAMETER = "code"


@dataclass(frozen=True, slots=True)
class Keys:
    """The host's two keys; the master key opens everything that the function key opens.

    Attributes:
        function: For functions of auth level FUNCTION, and for the blob webhook.
        master: For functions of auth level ADMIN, and for `/admin`.
    """

    function: str
    master: str

    def allows(self, auth_level: str, request: Request) -> bool:
        """Whether a request carries a key that a level asks for.

        Args:
            auth_level: ANONYMOUS, FUNCTION or ADMIN.
            request: Its `x-functions-key` header or else its `code` parameter is looked at.
        """
        if auth_level.upper() == "ANONYMOUS":
            return True
        presented = presented_key(request) or ""
        # Both comparisons always run: the time taken tells nothing about either key.
        is_function_key = _equal(presented, self.function)
        is_master_key = _equal(presented, self.master)
        return is_master_key or (is_function_key and auth_level.upper() == "FUNCTION")


def presented_key(request: Request) -> str | None:
    """The key that a request carries, or None."""
    return request.headers.get(KEY_HEADER) or request.query_params.get(KEY_PARAMETER)


def _equal(presented: str, expected: str) -> bool:
    return hmac.compare_digest(presented.encode(errors="replace"), expected.encode())
