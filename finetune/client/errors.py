"""What can go wrong between a caller and the app."""

from __future__ import annotations

import httpx
import msgspec

_PASSING = frozenset({408, 425, 429})
_CONFIGURATION = frozenset({"SettingsError", "NotAvailable"})


class AppError(Exception):
    """The app did not do what it was asked for.

    Attributes:
        retryable: Whether it may do so in a while.
    """

    retryable: bool = False


class UnreachableError(AppError):
    """Nothing answers at the address, or something else than the app does."""

    retryable = True


class RefusedError(AppError):
    """The app said no, in its own words.

    Attributes:
        status: HTTP status code of the answer.
        code: The problem's code, a stable word for programs.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.retryable = (status >= 500 or status in _PASSING) and code not in _CONFIGURATION


class _Problem(msgspec.Struct):
    """An error of the app (RFC 9457), as far as it is read."""

    code: str = ""
    detail: str = ""


def refusal(answer: httpx.Response) -> RefusedError:
    """The error that an answer is; Azure's own 401 and 403 have no body."""
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem()
    detail = problem.detail or f"the app answers {answer.status_code} {answer.reason_phrase}".strip()
    if answer.status_code in {401, 403} and not problem.detail:
        detail = f"the app refuses the key ({answer.status_code})"
    return RefusedError(answer.status_code, problem.code or str(answer.status_code), detail)
