"""Advancing: the whole way, each way out of it, and a death or a fault at every single call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from handlers.http.request_changes import cancel_run, delete_endpoint, start_run
from handlers.timers.reconcile_resources import reconcile_resources
from shared.config import Settings
from shared.domain.errors import (
    CorruptRunError,
    RequestError,
    RunChangedError,
    ScoringError,
    ServiceRefusedError,
    TransientServiceError,
    UnknownRunError,
)
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import (
    ComputeStatus,
    EndpointStatus,
    JobStatus,
    Provisioning,
)
from shared.domain.run.parts import Metrics, Requests
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.serving.record import StrategyName
from shared.workflow.advance import advance_run
from shared.workflow.save_progress import update_run
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.fake_azure_ml import said
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, Crash, Trip, advance, drive, rows, stages, upload, whole_life

WHOLE_LIFE = [
    "received",
    "validated",
    "training",
    "trained",
    "registered",
    "deploying",
    "live",
    "deleting",
    "stopped",
]
ONCE = {"create_compute", "submit", "register", "create", "deploy", "route_traffic", "delete"}


def lifetime() -> list[str]:
    """Every call of a life without trouble."""
    trip = Trip()
    assert stages(whole_life(World(), trip, ())) == WHOLE_LIFE
    return trip.calls


CALLS = lifetime()


@pytest.mark.parametrize("slow", [False, True])
def test_an_upload_is_carried_through_every_stage(slow: bool) -> None:
    """Stages in order, each thing asked for once, and at the end nothing is left."""
    world = World()
    world.cloud.slow = slow
    run_id = upload(world)
    run = drive(world, run_id, Stage.LIVE)
    assert run.endpoint is not None
    assert run.endpoint.scoring_uri == f"https://{run_id}/score"
    assert run.expires_at == run.endpoint.live_since + timedelta(hours=24)
    assert run.smoke_tests
    assert all(test.reply == "Hello!" for test in run.smoke_tests)
    assert {deployment for _, _, deployment in world.cloud.scored} == {"main"}
    assert world.datasets.files[f"{run_id}/train.jsonl"].startswith(b'{"messages":')
    assert world.reports.load(run_id, html=True)
    run = drive(world, run_id, Stage.STOPPED)
    assert stages(run) == WHOLE_LIFE
    assert sorted(call for call, _ in world.cloud.begun) == sorted(ONCE)
    assert world.cloud.seen == {}
    assert run.due is None


def test_the_calls_of_a_life_are_few() -> None:
    """What is not needed is not asked: a life without waiting is a known number of calls."""
    cloud = [
        name for name in CALLS if name.partition(".")[0] in {"registry", "workspace", "training", "endpoints"}
    ]
    assert len(cloud) <= 75
    assert CALLS.count("notifications.enqueue") == len(WHOLE_LIFE)
    assert len(CALLS) <= 160 + len(WHOLE_LIFE)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_call_changes_nothing_in_the_end(after: bool) -> None:
    """Killed before or after any call, the run ends where it would have, with one of each thing."""
    for at, name in enumerate(CALLS):
        world = World()
        run = whole_life(world, Trip(at, after), (Crash,))
        assert stages(run) == WHOLE_LIFE, (at, name)
        assert len(world.runs.blobs) == 1, (at, name)
        assert list(world.cloud.jobs) == list(world.cloud.models) == [run.run_id], (at, name)
        assert world.cloud.seen == {}, (at, name)
        assert run.error is None, (at, name)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_busy_service_at_any_call_is_waited_for(after: bool) -> None:
    """A transient fault anywhere, done or not done, costs time and nothing else."""
    for at, name in enumerate(CALLS):
        world = World()
        trip = Trip(at, after, lambda: TransientServiceError("busy", code="Busy", retry_after=7.0))
        run = whole_life(world, trip, (TransientServiceError,))
        assert stages(run) == WHOLE_LIFE, (at, name)
        assert list(world.cloud.jobs) == list(world.cloud.models) == [run.run_id], (at, name)
        assert run.error is None, (at, name)
        assert run.failures == 0, (at, name)


CLOUD = frozenset({"registry", "workspace", "training", "metrics", "endpoints", "scoring"})
CLOUD_CALLS = [name for name in CALLS if name.partition(".")[0] in CLOUD]


def test_one_refusal_at_any_call_proves_nothing() -> None:
    """A role that has not spread yet, a proxy's page, a name that is not known yet: the run goes on."""
    for at, name in enumerate(CLOUD_CALLS):
        world = World()
        refused = ServiceRefusedError("not allowed here", code="Forbidden", status=403)
        run = whole_life(world, Trip(at, False, lambda refused=refused: refused, CLOUD), ())  # type: ignore[misc]
        assert stages(run) == WHOLE_LIFE, (at, name)
        assert list(world.cloud.jobs) == list(world.cloud.models) == [run.run_id], (at, name)
        assert run.error is None, (at, name)


def test_the_intent_is_on_record_before_money_is_spent() -> None:
    """At the moment of submission the stored record says so, whatever happens next."""
    world = World()
    run_id = upload(world)
    noted: list[bool] = []
    submit = world.cloud.submit

    def watch(run: Run, plan: object, *, finetune_config: str | None) -> None:
        noted.append(world.runs.load(run_id).run.billable)
        submit(run, plan, finetune_config=finetune_config)  # type: ignore[arg-type]

    world.cloud.submit = watch  # type: ignore[method-assign]
    drive(world, run_id, Stage.LIVE)
    assert noted == [True]


def test_a_run_that_another_worker_holds_is_left_alone() -> None:
    """The second worker goes away without touching it."""
    world = World()
    run_id = upload(world)
    before = world.runs.load(run_id)
    with world.run_lock.acquire(run_id):
        assert advance_run(run_id, settings=SETTINGS, services=world.services) is None
    assert world.runs.load(run_id) == before


def test_unknown_and_unreadable_runs_are_said_to_be_so() -> None:
    """Both are errors of the message, and hold nothing afterwards."""
    world = World()
    with pytest.raises(UnknownRunError):
        advance_run(RUN_ID, settings=SETTINGS, services=world.services)
    run_id = upload(world)
    world.runs.corrupt(run_id)
    with pytest.raises(CorruptRunError):
        advance_run(run_id, settings=SETTINGS, services=world.services)
    assert world.run_lock.held == set()


def test_a_run_that_is_over_is_not_touched() -> None:
    """A late message finds it over and writes nothing."""
    world = World()
    world.runs.create(a_run(Stage.FAILED))
    before = world.runs.load(RUN_ID)
    assert advance(world, RUN_ID).stage is Stage.FAILED
    assert world.runs.load(RUN_ID) == before
    assert world.cloud.begun == []


def test_a_rejected_dataset_costs_nothing() -> None:
    """The report is stored, the reason is on the run, and Azure ML never hears of it."""
    world = World()
    run = advance(world, upload(world, body=b'{"messages": []}\n' * 30))
    assert run.stage is Stage.REJECTED
    assert run.error is not None
    assert run.error.code == "DatasetRejected"
    assert world.reports.load(run.run_id, html=False)
    assert world.datasets.files == {}
    assert world.cloud.begun == []


def test_an_upload_that_was_deleted_before_it_was_read_ends_its_run() -> None:
    """There is nothing to train on; this says what happened."""
    world = World()
    run_id = upload(world)
    del world.uploads.files["support.jsonl"]
    run = advance(world, run_id)
    assert run.stage is Stage.FAILED
    assert run.error is not None
    assert run.error.code == "UploadDeleted"


def test_a_failed_job_ends_the_run_in_its_own_words() -> None:
    """Through `deleting`, with no endpoint ever made."""
    world = World()
    world.cloud.slow = True
    run_id = upload(world)
    drive(world, run_id, Stage.TRAINING)
    world.cloud.jobs[run_id] = JobStatus("Failed", failure="finetune: CUDA out of memory")
    run = drive(world, run_id, Stage.FAILED)
    assert run.error is not None
    assert run.error.message == "finetune: CUDA out of memory"
    assert stages(run)[-2:] == ["deleting", "failed"]
    assert "create" not in dict(world.cloud.begun)


def test_a_silent_deployment_never_gets_traffic() -> None:
    """Whatever serves it: a model without a word for a test conversation fails its smoke test."""
    world = World()
    world.cloud.answers = lambda body: said("", body)
    run = drive(world, upload(world), Stage.STOPPED)
    assert run.error is not None
    assert run.error.code == "NoServingStrategy"
    assert "route_traffic" not in dict(world.cloud.begun)
    assert world.cloud.seen == {}


@pytest.mark.parametrize(
    ("status", "upstream"), [(503, None), (429, 429), (504, 408), (502, 500), (502, 503), (502, 424)]
)
def test_a_deployment_that_is_not_answering_yet_is_tried_again(status: int, upstream: int | None) -> None:
    """Overloaded, starting or hiccuping containers get another chance before traffic."""
    world = World()
    world.cloud.faults["score"] = [ScoringError(status, "not now", code="X", upstream_status=upstream)]
    run = drive(world, upload(world), Stage.LIVE)
    assert run.last_fault is not None
    assert "smoke test" in run.last_fault.message


@pytest.mark.parametrize(
    ("status", "upstream", "code", "attempts"),
    [
        (502, 401, "EndpointUnauthorized", 1),
        (502, 424, "ModelError", len(StrategyName)),
        (413, 413, "PayloadTooLarge", 1),
    ],
)
def test_a_deployment_that_fails_its_test_is_taken_away(
    status: int, upstream: int, code: str, attempts: int
) -> None:
    """A model that raises is served in another way, or again in the same where no other way would help.

    Each round is `attempts` deployments; pauses between rounds grow until the deadline of them all.
    """
    world = World()
    fault = ScoringError(status, "no", code=code, upstream_status=upstream)
    world.cloud.faults["score"] = [fault] * 200
    run = drive(world, upload(world), Stage.STOPPED)
    assert run.error is not None
    assert run.error.message.endswith("smoke test: no")
    deployed = [call for call, _ in world.cloud.begun].count("deploy")
    assert attempts < deployed < 40, "tried again, but not all the time"
    entered = run.entered(Stage.DEPLOYING)
    assert entered is not None
    assert run.error.at - entered < timedelta(hours=2, minutes=20), "one deadline for all attempts"


def test_a_model_over_the_loss_limit_is_kept_and_not_deployed() -> None:
    """MAX_EVAL_LOSS holds it back before anything of an endpoint exists; who starts it accepts the loss."""
    world = World()
    world.cloud.logged = Metrics(latest={"eval_loss": 3.0}, history={}, eval_loss=3.0)
    strict = msgspec.structs.replace(SETTINGS, max_eval_loss=2.0)
    run = drive(world, upload(world), Stage.STOPPED, strict)
    assert run.error is not None
    assert run.error.code == "EvalLossTooHigh"
    assert {call for call, _ in world.cloud.begun} == {"create_compute", "submit", "register"}
    start_run(run.run_id, {}, settings=strict, services=world.services)
    assert drive(world, run.run_id, Stage.LIVE, strict).error is None


def test_a_missing_cluster_is_made_first() -> None:
    """The job is submitted only once its cluster is there."""
    world = World()
    world.cloud.slow = True
    drive(world, upload(world), Stage.TRAINING)
    assert [call for call, _ in world.cloud.begun] == ["create_compute", "submit"]


def test_a_service_that_does_not_show_its_work_is_given_time() -> None:
    """Nothing is done twice in one invocation, however stale the service's answers are."""
    world = World()
    run_id = upload(world)
    world.cloud.hidden = True
    for expected in (1, 2):
        run = advance(world, run_id)
        assert run.stage is Stage.VALIDATED
        assert [call for call, _ in world.cloud.begun].count("submit") == expected
        assert run.due is not None
        assert run.due > world.now


def test_a_job_that_is_never_to_be_seen_is_given_up() -> None:
    """After its deadline the run fails, instead of asking for ever."""
    world = World()
    run_id = upload(world)
    world.cloud.hidden = True
    run = drive(world, run_id, Stage.FAILED, brisk())
    assert run.error is not None
    assert run.error.code == "JobNotFound"
    assert world.now - NOW < timedelta(minutes=62) + SETTINGS.limits().refusal_deadline


def test_a_submission_that_nobody_accepts_is_tried_for_as_long_as_any_step() -> None:
    """Its deadline is for jobs that were accepted and are not to be seen."""
    world = World()
    world.cloud.create_compute("gpu-cluster", "Standard_NC24ads_A100_v4", max_nodes=1)
    run_id = upload(world)
    world.busy("submit", times=1000)
    while world.now - NOW < timedelta(hours=3):
        run = advance(world, run_id)
        assert (run.stage, run.billable) == (Stage.VALIDATED, True)
        assert run.due is not None
        world.now = run.due
    world.cloud.faults.clear()
    assert drive(world, run_id, Stage.LIVE).job is not None


def test_a_worker_that_died_before_the_submission_may_be_followed_late() -> None:
    """The intent is on record, and nothing else: hours later, the job is still submitted."""
    world = World()
    world.cloud.create_compute("gpu-cluster", "Standard_NC24ads_A100_v4", max_nodes=1)
    run_id = upload(world)
    world.cloud.faults["submit"] = [Crash()]  # type: ignore[list-item]
    with pytest.raises(Crash):
        advance(world, run_id)
    world.now += timedelta(hours=3)
    assert drive(world, run_id, Stage.LIVE).job is not None
    assert [call for call, _ in world.cloud.begun].count("submit") == 1


@pytest.mark.parametrize("unseen", ["job", "endpoint"])
def test_what_cannot_be_observed_does_not_keep_the_rest(unseen: str) -> None:
    """In a teardown, job and endpoint are taken away each for itself, at once."""
    world = World()
    world.runs.create(a_run(Stage.DELETING))
    world.cloud.jobs[RUN_ID] = JobStatus("Running")
    world.cloud.seen[RUN_ID] = EndpointStatus(Provisioning.READY, None, {})
    world.cloud.faults[unseen] = [ServiceRefusedError("no", code="AuthorizationFailed") for _ in range(9)]
    run = advance(world, RUN_ID)
    assert (run.stage, run.failures) == (Stage.DELETING, 1)
    assert world.cloud.begun == [("delete" if unseen == "job" else "cancel", RUN_ID)]
    world.cloud.faults.clear()
    assert drive(world, RUN_ID, Stage.DELETED).failures == 0


def test_a_cluster_that_never_comes_up_is_given_up() -> None:
    """However long the run had waited for its turn before; the time counts from when it was asked for."""
    world = World()
    world.cloud.slow = True
    run_id = upload(world)
    asked = advance(world, run_id, brisk()).compute_requested_at
    assert asked == world.now
    for _ in range(90):
        run = advance(world, run_id, brisk())
        if run.stage.terminal:
            break
        assert run.due is not None
        world.now = run.due
    assert run.error is not None
    assert run.error.message == "cluster gpu-cluster is not up after 1 h"
    assert timedelta(minutes=60) < world.now - asked < timedelta(minutes=62)
    assert [call for call, _ in world.cloud.begun] == ["create_compute"]


def test_a_cluster_that_is_never_to_be_seen_is_given_up() -> None:
    """It is asked for again until its deadline, and no longer."""
    world = World()
    run_id = upload(world)
    world.cloud.compute = lambda _name: None  # type: ignore[assignment,method-assign]
    run = drive(world, run_id, Stage.FAILED, brisk())
    assert run.error is not None
    assert run.error.code == "DeadlineExceeded"
    assert world.now - NOW < timedelta(minutes=62)


def test_waiting_for_a_slot_is_no_delay_of_the_cluster() -> None:
    """A run that waited for days goes on waiting while its cluster is being changed."""
    world = World()
    one = msgspec.structs.replace(SETTINGS, max_training_runs=1)
    other = a_run(Stage.TRAINING, run_id="ft-other-0123456789", now=NOW - timedelta(days=1))
    world.runs.create(other)
    run_id = upload(world)
    assert advance(world, run_id, one).compute_requested_at is None
    world.now += timedelta(days=4)
    world.cloud.computes["gpu-cluster"] = ComputeStatus(Provisioning.PENDING, "")
    run = advance(world, run_id, one)
    assert (run.stage, run.compute_requested_at) == (Stage.VALIDATED, world.now)
    world.cloud.settle()
    assert advance(world, run_id, one).compute_requested_at is None


def brisk() -> Settings:
    """Settings with fewer looks."""
    return msgspec.structs.replace(SETTINGS, operation_poll_seconds=60)


def test_answers_that_flicker_do_not_keep_an_invocation_busy() -> None:
    """An endpoint that is there and gone at every other look is not created without end."""
    world = World()
    run_id = upload(world)
    real, looks = world.cloud.endpoint, iter(range(10_000))
    world.cloud.endpoint = (  # type: ignore[method-assign]
        lambda *names, base=False: real(*names, base=base) if next(looks) % 2 else None
    )
    advance(world, run_id)
    assert next(looks) < 20


def test_a_request_that_comes_during_a_step_is_seen_before_the_next() -> None:
    """A cancellation that arrives while the job is being submitted is acted on in the same invocation."""
    world = World()
    world.cloud.slow = True
    run_id = upload(world)
    submit = world.cloud.submit

    def meanwhile(run: Run, plan: object, *, finetune_config: str | None) -> None:
        submit(run, plan, finetune_config=finetune_config)  # type: ignore[arg-type]
        cancel_run(run_id, world.services)

    world.cloud.submit = meanwhile  # type: ignore[method-assign]
    drive(world, run_id, Stage.DELETING)
    run = drive(world, run_id, Stage.CANCELED)
    assert "training" not in stages(run)
    assert world.cloud.jobs[run_id].status == "Canceled"


def test_a_request_between_deciding_and_saving_is_not_overwritten() -> None:
    """An endpoint that is extended in the very moment of its expiry lives on."""
    world = World()
    world.runs.create(a_run(Stage.LIVE))
    world.now = NOW + timedelta(hours=25)
    once = iter([True])

    def extend() -> None:
        if next(once, False):
            requests = Requests(extended_to=NOW + timedelta(hours=48))
            update_run(world.runs, RUN_ID, lambda run: msgspec.structs.replace(run, requests=requests))

    world.runs.before_write = extend
    assert advance(world, RUN_ID).stage is Stage.LIVE


def test_an_overtaken_worker_stops() -> None:
    """One that lost its lease to another neither saves nor goes on."""
    world = World()
    world.runs.create(a_run(Stage.TRAINED))
    once = iter([True])

    def overtake() -> None:
        if next(once, False):
            world.run_lock.held.clear()
            _move_on(world)

    world.cloud.jobs[RUN_ID] = JobStatus("Completed")
    world.runs.before_write = overtake
    with pytest.raises(RunChangedError):
        advance_run(RUN_ID, settings=SETTINGS, services=world.services)
    assert world.runs.load(RUN_ID).run.stage is Stage.DELETING


def _move_on(world: World) -> None:
    read = world.runs.load(RUN_ID)
    moved = msgspec.structs.replace(a_run(Stage.DELETING), outcome=Stage.CANCELED)
    world.runs.replace(moved, read.etag)


def test_faults_back_off_and_are_forgotten() -> None:
    """Each fault in a row waits longer, as the service asks at least; the next success clears the count."""
    world = World()
    run_id = upload(world)
    world.busy("base_model", times=3)
    waits = []
    for failures in (1, 2, 3):
        run = advance(world, run_id)
        assert run.failures == failures
        assert run.due is not None
        assert run.last_fault is not None
        waits.append((run.due - world.now).total_seconds())
        world.now = run.due
    assert waits == [2.5, 5.0, 10.0]
    run = advance(world, run_id)
    assert (run.failures, run.faulty_since) == (0, None)


def test_a_busy_teardown_goes_on_for_days() -> None:
    """A run never ends over an endpoint that the service refuses to delete."""
    world = World()
    run_id = upload(world)
    drive(world, run_id, Stage.LIVE)
    world.now += timedelta(hours=25)
    world.cloud.faults["delete"] = [ServiceRefusedError("locked", code="ScopeLocked") for _ in range(300)]
    for _ in range(290):
        run = advance(world, run_id)
        assert run.stage is Stage.DELETING
        assert run.due is not None
        world.now = run.due
    assert run.last_fault is not None
    assert run.last_fault.code == "ScopeLocked"
    assert world.runs.entries()[0].needs_attention(world.now)
    drive(world, run_id, Stage.STOPPED)
    assert world.cloud.seen == {}


def elsewhere(world: World) -> World:
    """The app's settings come to name another workspace, which knows nothing."""
    other = World(runs=world.runs, run_lock=world.run_lock, slots=world.slots, now=world.now)
    other.cloud.workspace = "5a7e1b3c-0000-4000-8000-00000000000f"
    return other


ELSEWHERE = [Stage.TRAINING, Stage.TRAINED, Stage.DEPLOYING, Stage.LIVE, Stage.DELETING]


@pytest.mark.parametrize("stage", ELSEWHERE)
def test_a_wrong_workspace_for_days_changes_nothing(stage: Stage) -> None:
    """Nothing ends, is submitted or deleted; attention meanwhile; once it is mended the run goes on."""
    world = World()
    run = a_run(stage)
    world.runs.create(run)
    world.cloud.jobs[RUN_ID] = JobStatus("Running" if stage is Stage.TRAINING else "Completed")
    if stage.has_endpoint:
        world.cloud.create(RUN_ID, auth_mode="key", tags={RUN_TAG: RUN_ID})
    jobs, endpoints, begun = dict(world.cloud.jobs), dict(world.cloud.seen), list(world.cloud.begun)
    wrong = elsewhere(world)
    for _ in range(20):
        wrong.now += timedelta(hours=2)
        waits = advance(wrong, run.run_id)
        reconcile_resources(settings=SETTINGS, services=wrong.services)
    assert (waits.stage, waits.attention is not None) == (stage, True)
    assert world.runs.entries()[0].needs_attention(wrong.now)
    assert wrong.cloud.begun == []
    assert (world.cloud.jobs, world.cloud.seen, world.cloud.begun) == (jobs, endpoints, begun)
    assert waits.due is not None
    world.now = waits.due
    world.cloud.settle()
    assert advance(world, run.run_id).attention is None


def test_a_workspace_that_is_not_there_ends_nothing() -> None:
    """A typing error in its name: an upload waits, and a live model lives on."""
    world = World()
    live = drive(world, upload(world), Stage.LIVE).run_id
    new = upload(world, "new.jsonl", rows(tag=" now"))
    missing = ServiceRefusedError("there is no workspace", code="WorkspaceNotFound", status=404)
    world.cloud.faults["id"] = [missing] * 100
    for run_id, stage in ((live, Stage.LIVE), (new, Stage.VALIDATED)):
        for _ in range(20):
            run = advance(world, run_id)
            assert run.due is not None
            assert (run.stage, run.attention is not None) == (stage, True)
            world.now += timedelta(minutes=20)
    world.cloud.faults.clear()
    world.now += timedelta(minutes=20)
    drive(world, new, Stage.LIVE)


def test_a_job_that_is_hidden_for_a_while_goes_on() -> None:
    """The run asks for attention, and submits nothing a second time."""
    world = World()
    world.cloud.slow = True
    run_id = drive(world, upload(world), Stage.TRAINING).run_id
    world.cloud.hidden = True
    for _ in range(3):
        run = advance(world, run_id)
        assert (run.stage, run.attention) == (Stage.TRAINING, f"job {run_id} is no longer in the workspace")
        assert run.due is not None
        world.now = run.due
    world.cloud.hidden = False
    assert advance(world, run_id).attention is None
    assert drive(world, run_id, Stage.LIVE).job is not None
    assert [call for call, _ in world.cloud.begun].count("submit") == 1


BIGGER = msgspec.structs.replace(SETTINGS, allowed_instance_types=("Standard_NC48ads_A100_v4",))
REFUSED = {
    "read": Stage.LIVE,
    "register": Stage.STOPPED,
    "create": Stage.STOPPED,
    "deploy": Stage.STOPPED,
    "route_traffic": Stage.STOPPED,
}


@pytest.mark.parametrize("status", [400, 403, 404])
@pytest.mark.parametrize("call", REFUSED)
def test_whatever_is_refused_after_training_keeps_the_model(call: str, status: int) -> None:
    """Quota, capacity, policy, a name that is taken: one training, and the run is live or can be started."""
    world = World()
    refusal = ServiceRefusedError("not today", code="OutOfCapacity", status=status)
    world.cloud.faults[call] = [refusal] * 500
    run = drive(world, upload(world), REFUSED[call])
    assert [name for name, _ in world.cloud.begun].count("submit") == 1
    if run.stage is Stage.LIVE:
        return
    assert run.error is not None
    assert (run.error.code, run.error.message) == ("OutOfCapacity", "not today")
    assert world.cloud.seen == {}
    (entry,) = world.runs.entries()
    assert (entry.needs_attention(world.now), entry.due) == (True, None)
    assert advance(world, run.run_id) == run, "it does nothing by itself"

    world.cloud.faults.clear()
    body = {"instance_type": "Standard_NC48ads_A100_v4", "lifetime_hours": 2}
    answers = [start_run(run.run_id, body, settings=BIGGER, services=world.services) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    live = drive(world, run.run_id, Stage.LIVE)
    assert (live.options.instance_type, live.error) == ("Standard_NC48ads_A100_v4", None)
    assert live.expires_at == world.now + timedelta(hours=2)
    assert list(world.cloud.models) == [run.run_id]
    assert [name for name, _ in world.cloud.begun].count("submit") == 1
    with pytest.raises(RequestError):
        start_run(run.run_id, {}, settings=SETTINGS, services=world.services)


def test_a_stopped_run_can_be_deleted_for_good() -> None:
    """It has nothing that costs money: it ends at once."""
    world = World()
    world.runs.create(a_run(Stage.STOPPED))
    delete_endpoint(RUN_ID, world.services)
    assert advance(world, RUN_ID).stage is Stage.DELETED
    assert world.cloud.begun == []


@pytest.mark.parametrize("body", [{"instance_count": 0}, {"lifetime_hours": "long"}, {"size": 1}])
def test_a_start_that_makes_no_sense_is_refused(body: dict[str, Any]) -> None:
    """Named, and nothing happens."""
    world = World()
    world.runs.create(a_run(Stage.STOPPED))
    with pytest.raises(RequestError) as caught:
        start_run(RUN_ID, body, settings=SETTINGS, services=world.services)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("option", "value", "setting"),
    [
        ("lifetime_hours", 999, "ENDPOINT_MAX_LIFETIME_HOURS"),
        ("instance_count", 5, "MAX_INSTANCE_COUNT"),
        ("instance_type", "Standard_ND96isr_H100_v5", "ALLOWED_INSTANCE_TYPES"),
        ("idle_minutes", 0.5, "idle_minutes"),
    ],
)
def test_a_start_is_held_to_the_bounds_of_run_json(option: str, value: Any, setting: str) -> None:
    """The message names the option and the setting; what the run has already is not held against it."""
    world = World()
    strange = msgspec.structs.replace(a_run().options, compute="no-longer-allowed")
    world.runs.create(a_run(Stage.STOPPED, options=strange))
    with pytest.raises(RequestError) as caught:
        start_run(RUN_ID, {option: value}, settings=SETTINGS, services=world.services)
    assert (caught.value.status, option in caught.value.message) == (422, True)
    assert setting in caught.value.message
    assert start_run(RUN_ID, {}, settings=SETTINGS, services=world.services).status == 202


def test_a_model_that_no_strategy_serves_is_kept_and_tried_anew_when_started() -> None:
    """The reasons are on the stopped run; a start forgets the failed attempts."""
    world = World()
    world.cloud.faults["deploy"] = [
        ServiceRefusedError("no such image", code="BadArgument", status=400)
    ] * 500
    stopped = drive(world, upload(world), Stage.STOPPED)
    assert stopped.error is not None
    assert (stopped.error.code, stopped.error.message.count("no such image")) == (
        "NoServingStrategy",
        len(StrategyName),
    )
    world.cloud.faults.clear()
    start_run(stopped.run_id, {}, settings=SETTINGS, services=world.services)
    live = drive(world, stopped.run_id, Stage.LIVE)
    assert live.serving is not None
    assert live.serving.failed == ()
    assert live.smoke_tests
