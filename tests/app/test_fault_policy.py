"""What a fault means: the table of kind, operation and phase, row by row, and errors told apart."""

from __future__ import annotations

import itertools

import pytest

from shared.domain.errors import (
    AbsentError,
    FinetuneError,
    InvalidRunError,
    ServiceRefusedError,
    TransientServiceError,
    UploadReplacedError,
    WrongWorkspaceError,
)
from shared.domain.run.decision import Step, operation_of
from shared.domain.run.fault_policy import (
    FaultKind,
    Operation,
    Outcome,
    Phase,
    fault_kind,
    outcome_of,
    phase_of,
)
from shared.domain.run.stages import Stage
from tests.app.builders import a_run

PASSING = (FaultKind.UNAVAILABLE, FaultKind.THROTTLED, FaultKind.CONFLICT)
RIGHTS = (FaultKind.UNAUTHENTICATED, FaultKind.FORBIDDEN, FaultKind.NOT_FOUND, FaultKind.UNFORESEEN)

ROWS = [
    *(
        (kind, operation, phase, Outcome.RETRY)
        for kind in PASSING
        for operation in Operation
        for phase in Phase
    ),
    *(
        (FaultKind.WRONG_WORKSPACE, operation, phase, Outcome.HOLD)
        for operation in Operation
        for phase in Phase
    ),
    *(
        (kind, operation, phase, Outcome.WAIT)
        for kind in RIGHTS
        for operation in Operation
        for phase in Phase
    ),
    *((FaultKind.REFUSED, operation, Phase.TEARDOWN, Outcome.WAIT) for operation in Operation),
    *((FaultKind.INVALID_RUN, operation, Phase.TEARDOWN, Outcome.WAIT) for operation in Operation),
    (FaultKind.REFUSED, Operation.PREPARE, Phase.BEFORE_TRAINING, Outcome.PROVE),
    (FaultKind.REFUSED, Operation.SUBMIT, Phase.JOB, Outcome.PROVE),
    (FaultKind.REFUSED, Operation.LOOK, Phase.JOB, Outcome.WAIT),
    (FaultKind.REFUSED, Operation.LOOK, Phase.AFTER_TRAINING, Outcome.WAIT),
    (FaultKind.REFUSED, Operation.FINISH, Phase.AFTER_TRAINING, Outcome.WAIT),
    (FaultKind.REFUSED, Operation.TEST, Phase.AFTER_TRAINING, Outcome.PROVE),
    (FaultKind.INVALID_RUN, Operation.PREPARE, Phase.BEFORE_TRAINING, Outcome.END),
    (FaultKind.ABSENT, Operation.PREPARE, Phase.BEFORE_TRAINING, Outcome.PROVE),
    (FaultKind.ABSENT, Operation.PREPARE, Phase.TEARDOWN, Outcome.WAIT),
    (FaultKind.INVALID_RUN, Operation.SUBMIT, Phase.JOB, Outcome.PROVE),
    (FaultKind.INVALID_RUN, Operation.FINISH, Phase.AFTER_TRAINING, Outcome.WAIT),
    (FaultKind.UPLOAD_REPLACED, Operation.PREPARE, Phase.BEFORE_TRAINING, Outcome.RETRY),
    (FaultKind.UPLOAD_REPLACED, Operation.FINISH, Phase.AFTER_TRAINING, Outcome.WAIT),
]


@pytest.mark.parametrize(("kind", "operation", "phase", "outcome"), ROWS)
def test_the_table(kind: FaultKind, operation: Operation, phase: Phase, outcome: Outcome) -> None:
    """Row by row, as `docs/reliability.md` has it."""
    assert outcome_of(kind, operation, phase) is outcome


def test_nothing_ends_a_run_after_training_but_a_deployment_that_fails_its_test() -> None:
    """What is paid for is not given up over what one service answers, and no teardown over anything."""
    for kind, operation, phase in itertools.product(FaultKind, Operation, Phase):
        outcome = outcome_of(kind, operation, phase)
        if phase is Phase.TEARDOWN:
            assert outcome in {Outcome.RETRY, Outcome.WAIT, Outcome.HOLD}
        if phase in {Phase.JOB, Phase.AFTER_TRAINING}:
            assert outcome is not Outcome.END
        if phase is Phase.AFTER_TRAINING and outcome is Outcome.PROVE:
            assert operation is Operation.TEST or operation in {Operation.PREPARE, Operation.SUBMIT}
        if operation is Operation.LOOK and phase is not Phase.BEFORE_TRAINING:
            assert outcome in {Outcome.RETRY, Outcome.WAIT, Outcome.HOLD}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (None, FaultKind.REFUSED),
        (400, FaultKind.REFUSED),
        (401, FaultKind.UNAUTHENTICATED),
        (403, FaultKind.FORBIDDEN),
        (404, FaultKind.NOT_FOUND),
        (422, FaultKind.REFUSED),
    ],
)
def test_refusals_are_told_apart_by_their_status(status: int | None, kind: FaultKind) -> None:
    """The service's own code is for people; the status decides."""
    assert fault_kind(ServiceRefusedError("no", status=status)) is kind


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (TransientServiceError("page", code="InvalidResponse"), FaultKind.UNAVAILABLE),
        (TransientServiceError("busy", status=503), FaultKind.UNAVAILABLE),
        (TransientServiceError("busy", status=429), FaultKind.THROTTLED),
        (TransientServiceError("changing", status=409), FaultKind.CONFLICT),
        (InvalidRunError("no such parameter"), FaultKind.INVALID_RUN),
        (AbsentError("no such model"), FaultKind.ABSENT),
        (UploadReplacedError("gone"), FaultKind.UPLOAD_REPLACED),
        (WrongWorkspaceError("elsewhere"), FaultKind.WRONG_WORKSPACE),
        (FinetuneError("a surprise", code="KeyError"), FaultKind.UNFORESEEN),
    ],
)
def test_other_errors_have_a_kind(fault: FinetuneError, kind: FaultKind) -> None:
    """Every error that a step or a look may raise."""
    assert fault_kind(fault) is kind


def test_each_step_is_an_operation() -> None:
    """Money is submitted, spent models are finished, and everything before is preparation."""
    operations = {step: operation_of(step) for step in Step}
    assert operations[Step.SUBMIT_JOB] is Operation.SUBMIT
    assert operations[Step.PLAN] is operations[Step.CREATE_COMPUTE] is Operation.PREPARE
    assert operations[Step.REGISTER_MODEL] is operations[Step.CREATE_DEPLOYMENT] is Operation.FINISH
    assert operations[Step.SMOKE_TEST] is Operation.TEST
    assert operations[Step.CANCEL_JOB] is operations[Step.DELETE_ENDPOINT] is Operation.REMOVE


def test_each_stage_has_its_phase() -> None:
    """A billable run may have a job before it is in training."""
    phases = {stage: phase_of(a_run(stage)) for stage in Stage if not stage.at_rest}
    assert phases == {
        Stage.RECEIVED: Phase.BEFORE_TRAINING,
        Stage.VALIDATED: Phase.BEFORE_TRAINING,
        Stage.TRAINING: Phase.JOB,
        Stage.TRAINED: Phase.AFTER_TRAINING,
        Stage.REGISTERED: Phase.AFTER_TRAINING,
        Stage.DEPLOYING: Phase.AFTER_TRAINING,
        Stage.LIVE: Phase.AFTER_TRAINING,
        Stage.DELETING: Phase.TEARDOWN,
    }
    assert phase_of(a_run(Stage.VALIDATED, billable=True)) is Phase.JOB
