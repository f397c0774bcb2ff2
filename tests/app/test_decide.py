"""Decisions: every stage against everything that can be seen, and each rule by itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.domain.dataset import Verdict
from shared.domain.limits import Limits
from shared.domain.run.current_model import Promotion
from shared.domain.run.decide import decide
from shared.domain.run.decision import COSTLY, Decision, Do, Enter, Step, Wait
from shared.domain.run.endings import after_fault
from shared.domain.run.fault_policy import Outcome
from shared.domain.run.job_status import JobState
from shared.domain.run.observation import (
    Aspect,
    ComputeStatus,
    DeploymentStatus,
    EndpointStatus,
    JobStatus,
    Observation,
    Provisioning,
    aspects_of,
    note,
)
from shared.domain.run.parts import Failure, Metrics, ModelRecord, Requests, StartRequest
from shared.domain.run.run import Run, enter, restart
from shared.domain.run.slot_kind import SlotKind, SlotRequest
from shared.domain.run.stages import TRANSITIONS, Stage
from shared.domain.run.upload_change import UploadChange, UploadStatus
from tests.app.builders import NOW, PLAN, RUN_ID, a_run, report

MODEL = ModelRecord(name="Phi-4-support", version=RUN_ID, id="/models/Phi-4-support", folder="mlflow_model")

LIMITS = Limits()
PROMOTED = Promotion(promoted=True, why="no other model has the name", at=NOW)
LATER = NOW + timedelta(hours=1)
LONG_AGO = NOW - LIMITS.refusal_deadline
JOB_WORDS = ("Running", "CancelRequested", "Completed", "Failed", "Canceled", "Paused", "Reticulating")
TRAFFIC: tuple[dict[str, int], ...] = ({}, {"main": 100}, {"main": 50}, {"other": 100})
SLOTS = (
    None,
    *(SlotRequest(kind=kind, acquired=got, at=NOW) for kind in SlotKind for got in (False, True)),
)
FAULT = Failure(code="Busy", message="try again", stage=Stage.TRAINING, at=NOW)


def jobs() -> list[JobStatus | None]:
    """No job, one in each kind of state, and somebody else's."""
    return [None, *map(JobStatus, JOB_WORDS), JobStatus("Running", foreign=True)]


def endpoints() -> list[EndpointStatus | None]:
    """No endpoint, and every combination of state, traffic and deployment."""
    deployments = [None, *(DeploymentStatus(state, "crashed") for state in Provisioning)]
    return [
        None,
        *(
            EndpointStatus(state, "https://e/score", traffic, deployment)
            for state, traffic, deployment in itertools.product(Provisioning, TRAFFIC, deployments)
        ),
        EndpointStatus(Provisioning.READY, "https://e/score", {"main": 100}, foreign=True),
    ]


def uploads() -> list[UploadStatus]:
    """What can become of an upload, settled or not."""
    changes = [UploadStatus(change) for change in UploadChange]
    return [*changes, UploadStatus(UploadChange.PARTS, NOW + timedelta(days=31))]


def computes() -> list[ComputeStatus | None]:
    """No cluster, and one in each state."""
    return [None, *(ComputeStatus(state, "Standard_NC6") for state in Provisioning)]


def records(stage: Stage) -> Iterator[Run]:
    """The stage's record as each step of the stage leaves it, with each request, fresh and long overdue."""
    base = a_run(stage)
    variants: list[dict[str, Any]] = [{}]
    if stage is Stage.RECEIVED:
        variants = [{}, {"report": report()}, {"report": report(Verdict.REJECTED)}]
    elif stage is Stage.VALIDATED:
        planned = [
            {"plan": msgspec.structs.replace(PLAN, create_compute=create), "claimed": claimed, "slot": slot}
            for create, claimed, slot in itertools.product((False, True), (False, True), SLOTS)
        ]
        billable = [{**each, "billable": True} for each in planned if each["claimed"]]
        variants = [{}, {"plan": PLAN, "duplicate_of": "ft-a-0123456789"}, *planned, *billable]
    elif stage is Stage.TRAINED:
        losses = [Metrics(latest={}, history={}, eval_loss=loss) for loss in (None, 1.0, 9.0, float("nan"))]
        variants = [{}, *({"metrics": each} for each in losses)]
    elif stage is Stage.REGISTERED:
        variants = [{"slot": slot} for slot in SLOTS]
    elif stage is Stage.DEPLOYING:
        variants = [{}, {"smoke_tests": ()}, {"smoke_tests": (), "promotion": PROMOTED}]
    elif stage is Stage.DELETING:
        variants = [
            {"outcome": outcome, "failures": failures}
            for outcome in (None, Stage.DELETED, Stage.FAILED, Stage.CANCELED)
            for failures in (0, 1)
        ]
    requests = [
        Requests(),
        Requests(cancel_at=NOW),
        Requests(delete_at=NOW, delete_reason="requested"),
        Requests(extended_to=NOW + timedelta(hours=48)),
    ]
    for variant, request in itertools.product(variants, requests):
        yield msgspec.structs.replace(base, requests=request, **variant)


def observations(run: Run) -> Iterator[Observation]:
    """Everything that can be seen of a run: what its stage does not look at is absent."""
    aspects = aspects_of(run)
    for job, compute, endpoint, upload in itertools.product(
        jobs() if Aspect.JOB in aspects else [None],
        computes() if Aspect.COMPUTE in aspects else [None],
        endpoints() if Aspect.ENDPOINT in aspects else [None],
        uploads() if Aspect.UPLOAD in aspects else [None],
    ):
        yield Observation(job=job, compute=compute, endpoint=endpoint, upload=upload)


def every_case(stage: Stage) -> Iterator[tuple[Run, Observation, Limits, Decision]]:
    """Each record of the stage, each sight of it, early and late, with and without a loss limit."""
    for run in records(stage):
        for seen in observations(run):
            for now in (NOW, NOW + timedelta(days=30)):
                for limits in (LIMITS, Limits(max_eval_loss=2.0)):
                    noted = note(run, seen, NOW)
                    yield noted, seen, limits, decide(noted, seen, now, limits)


DELETING = [stage for stage in Stage if not stage.at_rest]


@pytest.mark.parametrize("stage", DELETING)
def test_every_case_has_a_lawful_decision(stage: Stage) -> None:
    """Whatever is seen, a decision comes out; a move is in the table; a wait lies in the future."""
    cases = 0
    for run, _, _, decision in every_case(stage):
        cases += 1
        match decision:
            case Enter(target):
                assert target in TRANSITIONS[stage]
                assert run.billable or stage in {Stage.RECEIVED, Stage.VALIDATED}
            case Wait(until):
                assert until > NOW
            case Do(step):
                assert step in Step
    assert cases > 10


@pytest.mark.parametrize("stage", DELETING)
def test_no_run_ends_over_something_that_costs_money(stage: Stage) -> None:
    """A run becomes terminal only unbilled, or with its job over or absent and its endpoint absent."""
    for run, seen, _, decision in every_case(stage):
        if not (isinstance(decision, Enter) and decision.stage.terminal):
            continue
        if run.billable:
            assert stage is Stage.DELETING
            assert seen.endpoint is None or seen.endpoint.foreign
            assert seen.job is None or seen.job.foreign or seen.job.state.over
        else:
            assert stage in {Stage.RECEIVED, Stage.VALIDATED}


@pytest.mark.parametrize("stage", DELETING)
def test_a_request_wins_over_everything_that_is_seen(stage: Stage) -> None:
    """Cancel and delete are acted on at once, whatever else could be done; extending ends nothing."""
    for run, _, _, decision in every_case(stage):
        asked = run.requests.cancel_at or run.requests.delete_at
        if stage is Stage.DELETING or not asked:
            continue
        assert isinstance(decision, Enter)
        if not run.billable:
            assert decision.stage is Stage.CANCELED
        else:
            outcome = Stage.DELETED if stage is Stage.LIVE else Stage.CANCELED
            assert (decision.stage, decision.outcome) == (Stage.DELETING, outcome)


@pytest.mark.parametrize("stage", DELETING)
def test_money_is_spent_only_with_a_slot_and_where_the_path_has_it(stage: Stage) -> None:
    """Jobs are submitted in `validated` and endpoints made in `deploying`, nowhere else, and in turn."""
    for run, seen, _, decision in every_case(stage):
        if not (isinstance(decision, Do) and decision.step in COSTLY):
            continue
        if decision.step is Step.SUBMIT_JOB:
            assert run.billable or run.holds_slot(SlotKind.TRAINING)
            assert stage is Stage.VALIDATED
            assert run.claimed
            assert seen.job is None
        elif decision.step is Step.RESTORE_DEPLOYMENT:
            assert stage is Stage.LIVE
            assert seen.endpoint is not None
            assert seen.endpoint.deployment is None
        else:
            assert stage is Stage.DEPLOYING
            assert run.billable


def test_no_run_deploys_without_a_slot() -> None:
    """`registered` is left only by runs that hold an endpoint slot, or are asked to end."""
    for run, _, _, decision in every_case(Stage.REGISTERED):
        if decision == Enter(Stage.DEPLOYING):
            assert run.holds_slot(SlotKind.ENDPOINT)


@pytest.mark.parametrize("stage", [Stage.TRAINING, Stage.DEPLOYING])
def test_a_stage_that_costs_money_has_an_end(stage: Stage) -> None:
    """Past its deadline a run leaves `training` and `deploying`, whatever is or is not to be seen."""
    now = NOW + max(LIMITS.training_deadline, LIMITS.deployment_deadline) + timedelta(seconds=1)
    for run in records(stage):
        for seen in observations(run):
            decision = decide(run, seen, now, LIMITS)
            # A deployment that is up and does not answer ends one way of serving; each ends once.
            assert isinstance(decision, Enter) or decision == Do(Step.FAIL_DEPLOYMENT)


@pytest.mark.parametrize("state", [None, Provisioning.PENDING, Provisioning.DELETING])
def test_a_cluster_that_never_comes_up_ends_the_run(state: Provisioning | None) -> None:
    """The time counts from when it was asked for, not from when the run began to wait for its turn."""
    run = a_run(
        Stage.VALIDATED,
        now=NOW - timedelta(days=9),
        plan=msgspec.structs.replace(PLAN, create_compute=True),
        claimed=True,
        compute_requested_at=NOW,
    )
    seen = Observation(compute=ComputeStatus(state, "") if state else None)
    assert not isinstance(decide(run, seen, NOW + LIMITS.compute_deadline, LIMITS), Enter)
    late = decide(run, seen, NOW + LIMITS.compute_deadline + timedelta(seconds=1), LIMITS)
    assert isinstance(late, Enter)
    assert late.stage is Stage.FAILED
    assert late.error is not None
    assert (late.error.code, late.error.message) == (
        "DeadlineExceeded",
        "cluster gpu-cluster is not up after 1 h",
    )


def test_a_job_that_is_never_to_be_seen_ends_the_run() -> None:
    """It is asked for again until its deadline, and then taken away in case it is there."""
    run = a_run(Stage.VALIDATED, plan=PLAN, claimed=True, billable=True, job_submitted_at=NOW)
    on_time = decide(run, Observation(), NOW + LIMITS.submission_deadline, LIMITS)
    assert on_time == Do(Step.SUBMIT_JOB)
    now = NOW + LIMITS.submission_deadline + timedelta(seconds=1)
    late = decide(run, Observation(), now, LIMITS)
    assert isinstance(late, Enter)
    assert (late.stage, late.outcome) == (Stage.DELETING, Stage.FAILED)
    assert late.error is not None
    assert late.error.code == "JobNotFound"
    assert decide(run, Observation(job=JobStatus("Queued")), now, LIMITS) == Enter(Stage.TRAINING)


def test_a_terminal_run_is_not_decided_upon() -> None:
    """Asking about a run that is over is a fault of the program."""
    for stage in Stage:
        if stage.terminal:
            with pytest.raises(ValueError, match="nothing to decide"):
                decide(a_run(stage), Observation(), NOW, LIMITS)


def test_a_run_looks_only_at_what_its_stage_needs() -> None:
    """Each look is a call: `live` and `trained` make none, `training` sees its job alone."""
    assert aspects_of(a_run(Stage.LIVE)) == {Aspect.ENDPOINT}
    assert aspects_of(a_run(Stage.TRAINED)) == frozenset()
    assert aspects_of(a_run(Stage.TRAINING)) == {Aspect.JOB}
    assert aspects_of(a_run(Stage.VALIDATED)) == frozenset()
    assert aspects_of(a_run(Stage.DELETING)) == {Aspect.JOB, Aspect.ENDPOINT}


def slot(kind: SlotKind, *, acquired: bool = True) -> SlotRequest:
    """A request for a slot that was answered just now."""
    return SlotRequest(kind=kind, acquired=acquired, at=NOW)


def test_a_quiet_run_takes_the_straight_path() -> None:
    """With everything going well, each stage does its step and enters the next."""
    live = EndpointStatus(
        Provisioning.READY, "https://e/score", {"main": 100}, DeploymentStatus(Provisioning.READY)
    )
    bare = EndpointStatus(Provisioning.READY, "https://e/score", {})
    deployed = bare._replace(deployment=DeploymentStatus(Provisioning.READY))
    cases: list[tuple[Run, Observation, Decision]] = [
        (a_run(Stage.RECEIVED), Observation(), Do(Step.VALIDATE)),
        (a_run(Stage.RECEIVED, report=report()), Observation(), Enter(Stage.VALIDATED)),
        (a_run(Stage.VALIDATED), Observation(), Do(Step.PLAN)),
        (a_run(Stage.VALIDATED, plan=PLAN), Observation(), Do(Step.CLAIM)),
        (a_run(Stage.VALIDATED, plan=PLAN, claimed=True), Observation(), Do(Step.ACQUIRE_SLOT)),
        (
            a_run(Stage.VALIDATED, plan=PLAN, claimed=True, slot=slot(SlotKind.TRAINING)),
            Observation(),
            Do(Step.SUBMIT_JOB),
        ),
        (
            a_run(Stage.VALIDATED, plan=PLAN, claimed=True, billable=True),
            Observation(job=JobStatus("Queued")),
            Enter(Stage.TRAINING),
        ),
        (a_run(Stage.TRAINING), Observation(job=JobStatus("Running")), Wait(NOW + LIMITS.job_poll)),
        (a_run(Stage.TRAINING), Observation(job=JobStatus("Completed")), Enter(Stage.TRAINED)),
        (a_run(Stage.TRAINED), Observation(), Do(Step.REGISTER_MODEL)),
        (a_run(Stage.TRAINED, model=MODEL), Observation(), Do(Step.COLLECT_METRICS)),
        (
            a_run(Stage.TRAINED, model=MODEL, metrics=Metrics(latest={}, history={})),
            Observation(),
            Enter(Stage.REGISTERED),
        ),
        (a_run(Stage.REGISTERED), Observation(), Do(Step.ACQUIRE_SLOT)),
        (a_run(Stage.REGISTERED, slot=slot(SlotKind.TRAINING)), Observation(), Do(Step.ACQUIRE_SLOT)),
        (
            a_run(Stage.REGISTERED, slot=slot(SlotKind.ENDPOINT, acquired=False)),
            Observation(),
            Do(Step.ACQUIRE_SLOT),
        ),
        (a_run(Stage.REGISTERED, slot=slot(SlotKind.ENDPOINT)), Observation(), Enter(Stage.DEPLOYING)),
        (a_run(Stage.DEPLOYING), Observation(), Do(Step.CREATE_ENDPOINT)),
        (a_run(Stage.DEPLOYING), Observation(endpoint=bare), Do(Step.CREATE_DEPLOYMENT)),
        (a_run(Stage.DEPLOYING), Observation(endpoint=deployed), Do(Step.SMOKE_TEST)),
        (a_run(Stage.DEPLOYING, smoke_tests=()), Observation(endpoint=deployed), Do(Step.ROUTE_TRAFFIC)),
        (a_run(Stage.DEPLOYING, smoke_tests=()), Observation(endpoint=live), Do(Step.PROMOTE)),
        (
            a_run(Stage.DEPLOYING, smoke_tests=(), promotion=PROMOTED),
            Observation(endpoint=live),
            Enter(Stage.LIVE),
        ),
        (a_run(Stage.DELETING, endpoint_missing_since=LONG_AGO), Observation(), Enter(Stage.DELETED)),
    ]
    for run, seen, expected in cases:
        assert decide(run, seen, NOW, LIMITS) == expected


def test_traffic_waits_for_the_smoke_test() -> None:
    """No traffic is routed, and no run is live, before the deployment was tried."""
    for run in records(Stage.DEPLOYING):
        for seen in observations(run):
            decision = decide(run, seen, NOW, LIMITS)
            if decision in (Do(Step.ROUTE_TRAFFIC), Enter(Stage.LIVE)):
                assert run.smoke_tests is not None


@pytest.mark.parametrize(
    ("word", "code", "outcome"),
    [
        ("Failed", "JobFailed", Stage.FAILED),
        ("Canceled", "JobCanceled", Stage.CANCELED),
        ("CancelRequested", "JobCanceled", Stage.CANCELED),
    ],
)
def test_a_job_that_comes_to_nothing_ends_the_run(word: str, code: str, outcome: Stage) -> None:
    """The run goes through `deleting`, with the service's own message where there is one."""
    decision = decide(
        a_run(Stage.TRAINING), Observation(job=JobStatus(word, failure="CUDA out of memory")), NOW, LIMITS
    )
    assert isinstance(decision, Enter)
    assert (decision.stage, decision.outcome) == (Stage.DELETING, outcome)
    assert decision.error is not None
    assert decision.error.code == code
    if outcome is Stage.FAILED:
        assert decision.error.message == "CUDA out of memory"


@pytest.mark.parametrize("loss", [None, 2.5])
def test_the_loss_gate_holds_a_model_back(loss: float | None) -> None:
    """Over MAX_EVAL_LOSS, or with no evaluation loss at all, a model waits until somebody starts it."""
    run = a_run(Stage.TRAINED, model=MODEL, metrics=Metrics(latest={}, history={}, eval_loss=loss))
    decision = decide(run, Observation(), NOW, Limits(max_eval_loss=2.0))
    assert isinstance(decision, Enter)
    assert decision.outcome is Stage.STOPPED
    request = StartRequest(at=NOW, after=9)
    stopped = a_run(
        Stage.STOPPED, metrics=run.metrics, error=decision.error, requests=Requests(start=request)
    )
    started = restart(stopped, request, NOW)
    passing = a_run(Stage.TRAINED, model=MODEL, metrics=Metrics(latest={}, history={}, eval_loss=2.0))
    for accepted in (started, passing):
        assert decide(accepted, Observation(), NOW, Limits(max_eval_loss=2.0)) == Enter(Stage.REGISTERED)


THERE = Observation(
    endpoint=EndpointStatus(
        Provisioning.READY, "https://e/score", {"main": 100}, DeploymentStatus(Provisioning.READY)
    )
)


def test_a_live_endpoint_ends_by_time_or_by_idling() -> None:
    """The nearer of expiry and idle limit is waited for; using it or extending it moves the end."""
    run = a_run(Stage.LIVE)
    idle, expiry = timedelta(minutes=60), timedelta(hours=24)
    assert decide(run, THERE, NOW, LIMITS) == Wait(NOW + idle)
    ended = decide(run, THERE, NOW + idle, LIMITS)
    assert ended == Enter(Stage.DELETING, outcome=Stage.STOPPED, reason="not used for 60 minutes")

    used = msgspec.structs.replace(run, last_used=NOW + timedelta(minutes=59))
    assert decide(used, THERE, NOW + idle, LIMITS) == Wait(NOW + timedelta(minutes=119))

    extended = msgspec.structs.replace(run, requests=Requests(extended_to=NOW + 2 * expiry))
    assert decide(extended, THERE, NOW + expiry, LIMITS) == Wait(NOW + 2 * expiry)
    ended = decide(extended, THERE, NOW + 2 * expiry, LIMITS)
    assert ended == Enter(Stage.DELETING, outcome=Stage.STOPPED, reason="its lifetime ended")

    idling = msgspec.structs.replace(run, options=msgspec.structs.replace(run.options, idle_minutes=0))
    assert decide(idling, THERE, NOW, LIMITS) == Wait(NOW + expiry)


def test_extending_to_an_earlier_time_takes_nothing_away() -> None:
    """An extension that was overtaken by the endpoint's own expiry does not shorten its life."""
    run = a_run(Stage.LIVE, requests=Requests(extended_to=NOW + timedelta(hours=1)))
    assert run.expires_at == NOW + timedelta(hours=24)


def test_a_teardown_that_cannot_remove_one_thing_still_removes_the_other() -> None:
    """After a refusal to cancel the job the endpoint's turn comes, and the other way round."""
    seen = Observation(job=JobStatus("Running"), endpoint=EndpointStatus(Provisioning.READY, None, {}))
    steps = {decide(a_run(Stage.DELETING, failures=failures), seen, NOW, LIMITS) for failures in (1, 2)}
    assert steps == {Do(Step.CANCEL_JOB), Do(Step.DELETE_ENDPOINT)}


def fault_at(
    stage: Stage, outcome: Outcome, *, since: timedelta = timedelta(), **changes: Any
) -> Wait | Enter:
    """What becomes of a run of that stage whose step failed, for the first time so long ago."""
    run = a_run(stage, failures=1, faulty_since=NOW - since, refused_since=NOW - since, **changes)
    return after_fault(run, FAULT, outcome, retry_at=LATER, now=NOW, limits=LIMITS)


@pytest.mark.parametrize("stage", DELETING)
def test_a_fault_that_may_pass_is_waited_out(stage: Stage) -> None:
    """The run stays where it is and is due when it may try again; whatever may need a person says so."""
    assert fault_at(stage, Outcome.RETRY) == Wait(LATER)
    for outcome in (Outcome.WAIT, Outcome.HOLD, Outcome.PROVE):
        assert fault_at(stage, outcome) == Wait(LATER, "Busy: try again")


@pytest.mark.parametrize("stage", [stage for stage in DELETING if stage is not Stage.DELETING])
def test_a_refusal_ends_the_run_once_it_is_proven(stage: Stage) -> None:
    """Not before it was repeated for so long; what needs no proof ends it at once."""
    almost = LIMITS.refusal_deadline - timedelta(seconds=1)
    assert isinstance(fault_at(stage, Outcome.PROVE, since=almost), Wait)
    for decision in (
        fault_at(stage, Outcome.PROVE, since=LIMITS.refusal_deadline),
        fault_at(stage, Outcome.END),
    ):
        assert isinstance(decision, Enter)
        assert decision.error is not None
        assert (decision.error.code, decision.error.message) == ("Busy", "try again")
        if stage in {Stage.RECEIVED, Stage.VALIDATED}:
            assert decision.stage is Stage.FAILED
        else:
            kept = Stage.FAILED if stage is Stage.TRAINING else Stage.STOPPED
            assert (decision.stage, decision.outcome) == (Stage.DELETING, kept)


@pytest.mark.parametrize("outcome", Outcome)
def test_a_teardown_is_never_given_up(outcome: Outcome) -> None:
    """Whatever it meets, for days: `deleting` tries again."""
    assert isinstance(fault_at(Stage.DELETING, outcome, since=timedelta(days=9)), Wait)


@pytest.mark.parametrize("stage", DELETING)
def test_in_another_workspace_nothing_ends(stage: Stage) -> None:
    """However long the setting stays wrong, and whatever deadline passes meanwhile."""
    now = NOW + timedelta(days=400)
    run = a_run(stage, failures=9, faulty_since=NOW)
    decision = after_fault(run, FAULT, Outcome.HOLD, retry_at=LATER, now=now, limits=LIMITS)
    assert isinstance(decision, Wait)


def test_faults_without_end_end_the_run() -> None:
    """Past the fault deadline a run is given up, except where a job or an endpoint may do well unseen."""
    long = LIMITS.fault_deadline + timedelta(seconds=1)
    for stage in (Stage.RECEIVED, Stage.VALIDATED, Stage.TRAINED, Stage.REGISTERED, Stage.DEPLOYING):
        assert isinstance(fault_at(stage, Outcome.RETRY, since=long), Enter)
    assert fault_at(Stage.TRAINING, Outcome.RETRY, since=long) == Wait(LATER)
    assert fault_at(Stage.LIVE, Outcome.RETRY, since=long) == Wait(LATER)


def test_an_endpoint_that_cannot_be_reached_costs_no_more_than_its_deadline() -> None:
    """Faults in `deploying` are bounded by the deployment deadline, and in `live` by the endpoint's time."""
    for stage, longest in (
        (Stage.DEPLOYING, LIMITS.deployment_deadline),
        (Stage.LIVE, timedelta(minutes=60)),
    ):
        run = a_run(stage, failures=9, faulty_since=NOW)
        now = NOW + longest + timedelta(seconds=1)
        retry_at = now + timedelta(minutes=1)
        decision = after_fault(run, FAULT, Outcome.WAIT, retry_at=retry_at, now=now, limits=LIMITS)
        assert isinstance(decision, Enter)
        assert decision.stage is Stage.DELETING


def test_a_job_out_of_sight_is_given_up_at_its_deadline() -> None:
    """Blind for longer than training may last, the run stops waiting and cancels."""
    run = a_run(Stage.TRAINING, failures=9, faulty_since=NOW)
    now = NOW + LIMITS.training_deadline + timedelta(seconds=1)
    decision = after_fault(run, FAULT, Outcome.RETRY, retry_at=now, now=now, limits=LIMITS)
    assert isinstance(decision, Enter)
    assert decision.stage is Stage.DELETING


ABSENT: dict[Stage, tuple[str, dict[str, Any], Stage]] = {
    Stage.TRAINING: ("job_missing_since", {}, Stage.DELETING),
    Stage.LIVE: ("endpoint_missing_since", {}, Stage.DELETING),
    Stage.DELETING: ("endpoint_missing_since", {"outcome": Stage.DELETED}, Stage.DELETED),
}


@pytest.mark.parametrize("stage", ABSENT)
def test_one_absence_proves_nothing(stage: Stage) -> None:
    """A job or an endpoint that is not there is looked for again, for minutes, before anything follows."""
    field, changes, end = ABSENT[stage]
    run = note(a_run(stage, **changes), Observation(), NOW)
    assert getattr(run, field) == NOW
    almost = NOW + LIMITS.refusal_deadline - timedelta(seconds=1)
    assert note(run, Observation(), almost) == run, "since when it has been missing, not when last looked for"
    assert isinstance(decide(run, Observation(), almost, LIMITS), Wait)
    ended = decide(run, Observation(), NOW + LIMITS.refusal_deadline, LIMITS)
    assert isinstance(ended, Enter)
    assert ended.stage is end
    there = Observation(job=JobStatus("Running"), endpoint=EndpointStatus(Provisioning.READY, None, {}))
    assert getattr(note(run, there, almost), field) is None, "seen again"


def test_somebody_elses_resources_are_left_alone() -> None:
    """A job or an endpoint of the run's name without its tags is neither used nor removed."""
    job, endpoint = JobStatus("Running", foreign=True), THERE.endpoint
    assert endpoint is not None
    seen = Observation(job=job, endpoint=endpoint._replace(foreign=True))
    ready = a_run(Stage.VALIDATED, plan=PLAN, claimed=True, billable=True)
    taken = decide(ready, seen, NOW, LIMITS)
    assert isinstance(taken, Enter)
    assert taken.error is not None
    assert taken.error.code == "JobNameTaken"
    assert decide(a_run(Stage.DEPLOYING), seen, NOW, LIMITS) == Do(Step.RENAME_ENDPOINT)
    for stage in (Stage.VALIDATED, Stage.TRAINING, Stage.LIVE, Stage.DELETING):
        run = note(a_run(stage, plan=PLAN, claimed=True, billable=True), seen, NOW)
        decision = decide(run, seen, NOW, LIMITS)
        assert not isinstance(decision, Do), (stage, decision)
        assert run.job is None or run.job.status != "Running" or stage is Stage.TRAINING


def test_unknown_job_words_are_watched_and_stopped() -> None:
    """A status that nobody knows is waited for while training, and canceled while deleting."""
    unknown = JobStatus("Reticulating")
    assert unknown.state is JobState.UNKNOWN
    assert isinstance(decide(a_run(Stage.TRAINING), Observation(job=unknown), NOW, LIMITS), Wait)
    assert decide(a_run(Stage.DELETING), Observation(job=unknown), NOW, LIMITS) == Do(Step.CANCEL_JOB)


def test_a_trained_model_is_never_thrown_away() -> None:
    """Once the job completed, nothing but a caller ends a run: it stops with its model."""
    for stage in (Stage.TRAINED, Stage.REGISTERED, Stage.DEPLOYING):
        for run, _, _, decision in every_case(stage):
            asked = run.requests.cancel_at or run.requests.delete_at
            if not isinstance(decision, Enter) or asked or decision.stage is not Stage.DELETING:
                continue
            assert decision.error is not None
            assert decision.outcome is Stage.STOPPED, decision.error


def test_a_stopped_run_goes_on_when_it_is_asked_to() -> None:
    """Once for each request; one that was made for an earlier stop starts nothing."""
    run = a_run(Stage.STOPPED)
    assert run.at_rest
    request = StartRequest(at=NOW, after=len(run.history), instance_type="Standard_NC48ads_A100_v4")
    asked = msgspec.structs.replace(run, requests=Requests(start=request))
    assert not asked.at_rest
    assert decide(asked, Observation(), NOW, LIMITS) == Enter(Stage.TRAINED)
    started = restart(asked, request, NOW)
    assert (started.stage, started.due, started.endpoint, started.error) == (Stage.TRAINED, NOW, None, None)
    assert started.options.instance_type == "Standard_NC48ads_A100_v4"
    assert started.options.lifetime_hours == run.options.lifetime_hours
    later = enter(enter(started, Stage.DELETING, NOW), Stage.STOPPED, NOW)
    assert later.at_rest, "the request was for the stop before"
    ended = msgspec.structs.replace(asked, requests=Requests(start=request, delete_at=NOW))
    assert decide(ended, Observation(), NOW, LIMITS) == Enter(Stage.DELETED, reason="requested")
