"""What a fault means for a run: one table of kind of fault x operation x phase.

One answer proves nothing. Rights take minutes to spread, a proxy answers in a service's place, a resource
that was just created answers 404. So a run waits out whatever may pass, ends only over a refusal that was
repeated (`Outcome.PROVE`), and never gives up a teardown. `docs/reliability.md` shows the same table.
"""

from __future__ import annotations

from enum import StrEnum

from shared.domain.errors import (
    AbsentError,
    FinetuneError,
    InvalidRunError,
    ServiceRefusedError,
    TransientServiceError,
    UploadReplacedError,
    WrongWorkspaceError,
)
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage


class FaultKind(StrEnum):
    """What went wrong."""

    UNAVAILABLE = "unavailable"
    # No answer, HTTP 408, 425 or 5xx, or an answer of another form than the service's, whatever its status.
    THROTTLED = "throttled"
    # HTTP 429.
    CONFLICT = "conflict"
    # HTTP 409 or 412: something of that name is still changing.
    UNAUTHENTICATED = "unauthenticated"
    # HTTP 401.
    FORBIDDEN = "forbidden"
    # HTTP 403: a role assignment that has not spread yet, a lock, a policy, a firewall.
    NOT_FOUND = "not found"
    # HTTP 404 to a call that needs the resource; that a resource was looked for in vain is no fault.
    REFUSED = "refused"
    # HTTP 400, 422 and the like, and every other refusal: quota, capacity, a name that is taken.
    INVALID_RUN = "invalid run"
    # What the upload or its `run.json` asks for does not exist or does not fit.
    ABSENT = "absent"
    # A model, a component or a registry that the run names is not to be found.
    UPLOAD_REPLACED = "upload replaced"
    WRONG_WORKSPACE = "wrong workspace"
    # The app's settings name another workspace than the one that the run was planned in.
    UNFORESEEN = "unforeseen"


class Operation(StrEnum):
    """What was being done."""

    LOOK = "look"
    # Reading the state of the run's own resources.
    PREPARE = "prepare"
    # Validating, planning, claiming, creating a cluster, acquiring a slot.
    SUBMIT = "submit"
    FINISH = "finish"
    # Metrics, registration, endpoint, deployment, traffic.
    TEST = "test"
    # Scoring on the deployment before it gets traffic.
    REMOVE = "remove"


class Phase(StrEnum):
    """What is at stake."""

    BEFORE_TRAINING = "before training"
    # Nothing was asked for that costs money.
    JOB = "job exists"
    # A job was asked for and is not over.
    AFTER_TRAINING = "after training"
    # The job is paid for and completed.
    TEARDOWN = "teardown"


class Outcome(StrEnum):
    """What becomes of the run."""

    RETRY = "retry"
    # With growing delays, until the deadline of its phase.
    WAIT = "wait"
    # Like RETRY, and the run asks for attention meanwhile.
    HOLD = "hold"
    # Wait with attention, for as long as it takes: no deadline ends the run, and nothing is touched.
    PROVE = "prove"
    # Like WAIT, but the run ends once the same refusal was repeated for REFUSAL_DEADLINE_MINUTES.
    END = "end"


def fault_kind(fault: FinetuneError) -> FaultKind:
    """Say what kind of fault an error is."""
    for error, kind in _KINDS.items():
        if isinstance(fault, error):
            return kind
    if isinstance(fault, ServiceRefusedError | TransientServiceError) and fault.status in _STATUSES:
        return _STATUSES[fault.status]
    if fault.retryable:
        return FaultKind.UNAVAILABLE
    return FaultKind.REFUSED if isinstance(fault, ServiceRefusedError) else FaultKind.UNFORESEEN


def phase_of(run: Run) -> Phase:
    """Say what is at stake for a run."""
    if run.stage is Stage.DELETING:
        return Phase.TEARDOWN
    if run.stage in {Stage.RECEIVED, Stage.VALIDATED}:
        return Phase.JOB if run.billable else Phase.BEFORE_TRAINING
    return Phase.JOB if run.stage is Stage.TRAINING else Phase.AFTER_TRAINING


def outcome_of(kind: FaultKind, operation: Operation, phase: Phase) -> Outcome:
    """Look up what a fault means."""
    if kind is FaultKind.WRONG_WORKSPACE:
        return Outcome.HOLD
    if kind in _PASSING:
        return Outcome.RETRY
    if phase is Phase.TEARDOWN:
        return Outcome.WAIT
    if kind is FaultKind.UPLOAD_REPLACED:
        # The next observation says what became of it.
        return Outcome.RETRY if phase is Phase.BEFORE_TRAINING else Outcome.WAIT
    if kind is FaultKind.INVALID_RUN and phase is Phase.BEFORE_TRAINING:
        return Outcome.END
    if kind in _FOR_GOOD and operation in _PROVEN:
        return Outcome.PROVE
    return Outcome.WAIT


_KINDS: dict[type[FinetuneError], FaultKind] = {
    WrongWorkspaceError: FaultKind.WRONG_WORKSPACE,
    AbsentError: FaultKind.ABSENT,
    InvalidRunError: FaultKind.INVALID_RUN,
    UploadReplacedError: FaultKind.UPLOAD_REPLACED,
}

_STATUSES = {
    401: FaultKind.UNAUTHENTICATED,
    403: FaultKind.FORBIDDEN,
    404: FaultKind.NOT_FOUND,
    409: FaultKind.CONFLICT,
    412: FaultKind.CONFLICT,
    429: FaultKind.THROTTLED,
}

_PASSING = frozenset({FaultKind.UNAVAILABLE, FaultKind.THROTTLED, FaultKind.CONFLICT})
_PROVEN = frozenset({Operation.PREPARE, Operation.SUBMIT, Operation.TEST})
"""Operations whose refusal is believed in the end; a model that answers nonsense costs money by the hour."""

_FOR_GOOD = frozenset({FaultKind.REFUSED, FaultKind.INVALID_RUN, FaultKind.ABSENT})
