"""Every error the app raises on purpose.

FinetuneError
├── TransientServiceError     a service is busy or unreachable; trying again later may help
├── ServiceRefusedError       a service said no; whether it will say so again, `fault_policy` knows
├── WrongWorkspaceError       the app's workspace is not the one that the run was planned in
├── InvalidRunError           what the user asked for cannot be done; the message says what to change
│   └── AbsentError           what a run names is not there, by one answer at least
├── UnknownRunError           no run of that name
├── RunBusyError              another worker holds the run
├── RunChangedError           the record changed under a writer more often than it was willing to re-read
├── CorruptRunError           a stored record cannot be read
│   └── NewerRecordError      a newer version of the app wrote it
├── UploadReplacedError       the uploaded blob is no longer the one the run was opened for
├── RequestError              an HTTP request is malformed or impossible; carries the status to answer
│   └── ModelStartingError    a model is asked for whose endpoint is being started again
└── ScoringError              an endpoint answered a scoring request with an error
"""

from __future__ import annotations

from shared.domain.sanitize import plain_code, plain_text


class FinetuneError(Exception):
    """Root of the app's own errors.

    Attributes:
        retryable: Whether the same call may succeed later without anybody changing anything.
        code: A stable word for programs, in the service's spelling where the service gave one.
        message: Says what is wrong; others' words in it can be kept and sent on.
    """

    retryable = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        self.message = plain_text(message)
        self.code = plain_code(code or type(self).__name__.removesuffix("Error"))
        super().__init__(self.message)


class TransientServiceError(FinetuneError):
    """A service was busy, unreachable, or asked for patience.

    Attributes:
        retry_after: Seconds that the service asked to wait, or None.
        status: HTTP status code of the answer, or None if there was none.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.status = status


class ServiceRefusedError(FinetuneError):
    """A service refused; `message` is the service's own text.

    Attributes:
        status: HTTP status code of the refusal, or None if it did not come as one.
    """

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


class WrongWorkspaceError(FinetuneError):
    """The settings name another Azure ML workspace than the one that a run was planned in."""

    retryable = True


class InvalidRunError(FinetuneError):
    """A run asks for something impossible: a retired model, an unknown parameter, a wrong VM size."""


class AbsentError(InvalidRunError):
    """A service has no such model, component, registry or VM size: one answer proves nothing."""


class UnknownRunError(FinetuneError):
    """There is no run of that name."""


class RunBusyError(FinetuneError):
    """Another worker is advancing this run; it will see the newest requests itself."""

    retryable = True


class RunChangedError(FinetuneError):
    """A record kept changing between reading and writing."""

    retryable = True


class CorruptRunError(FinetuneError):
    """A stored run record is not a run record."""


class NewerRecordError(CorruptRunError):
    """A stored record is of a newer version of the app, which may be at work beside this one."""


class UploadReplacedError(FinetuneError):
    """The blob was overwritten or deleted after its run was opened."""


class RequestError(FinetuneError):
    """An HTTP request that cannot be served.

    Attributes:
        status: HTTP status code to answer with.
    """

    def __init__(self, status: int, message: str, *, code: str) -> None:
        super().__init__(message, code=code)
        self.status = status


class ModelStartingError(RequestError):
    """A request for a model whose endpoint is being started again.

    Attributes:
        retry_after: Seconds until it is likely to answer, by earlier starts.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(503, message, code="model_starting")
        self.retry_after = retry_after


class ScoringError(FinetuneError):
    """An endpoint's error, already mapped to what this app answers.

    Attributes:
        status: HTTP status code to answer with.
        upstream_status: HTTP status code that the endpoint gave, or None when it gave none.
        model_status: HTTP status code that the model's server gave, where the endpoint tells it.
        request_id: The endpoint's own id of the request, or None.
        retry_after: Seconds that the endpoint asked to wait, or None.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        upstream_status: int | None = None,
        model_status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.upstream_status = upstream_status
        self.model_status = model_status
        self.request_id = request_id
        self.retry_after = retry_after
