"""A model that was paid for is kept: jobs that are lost, endpoints that fail, names that are held."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from handlers.http.request_changes import delete_endpoint, start_run
from handlers.timers.reconcile_resources import reconcile_resources
from shared.domain.errors import AbsentError, FinetuneError, ServiceRefusedError, TransientServiceError
from shared.domain.run.observation import JobStatus, Provisioning
from shared.domain.run.slot_kind import SlotKind
from shared.domain.run.stages import Stage
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, drive, rows, upload

PREEMPTED = JobStatus("Failed", failure="chat_completion_finetune: the node was preempted")


def preempt(world: World) -> None:
    """Take the nodes of every job that runs."""
    world.cloud.jobs = {
        name: PREEMPTED if job.status == "Running" else job for name, job in world.cloud.jobs.items()
    }


def test_a_job_that_was_preempted_is_submitted_again() -> None:
    """Under its next name, so often as the setting allows; its model is the run's all the same."""
    world = World()
    run_id = upload(world)
    world.cloud.slow = True
    drive(world, run_id, Stage.TRAINING)
    preempt(world)
    live = drive(world, run_id, Stage.LIVE)
    assert list(world.cloud.jobs) == [run_id, f"{run_id}-2"]
    assert (live.job and live.job.name, list(world.cloud.models)) == (f"{run_id}-2", [run_id])

    world = World()
    run_id = upload(world)
    world.cloud.slow = True
    drive(world, run_id, Stage.TRAINING)
    for _ in range(9):
        preempt(world)
        run = advance(world, run_id)
        if run.due is not None:
            world.now = run.due
    run = drive(world, run_id, Stage.FAILED)
    assert run.error is not None
    assert "preempted" in run.error.message
    assert [call for call, _ in world.cloud.begun].count("submit") == 1 + SETTINGS.job_resubmissions


@pytest.mark.parametrize(
    ("refusal", "first"),
    [
        (ServiceRefusedError("There is already an endpoint with this name", code="X", status=400), 1),
        (ServiceRefusedError("The specified resource was not found.", code="NotFound", status=404), 9),
        (TransientServiceError("in conflict", code="Conflict", status=409), 9),
    ],
)
def test_a_name_that_azure_does_not_let_go_of_is_left_for_the_next(
    refusal: FinetuneError, first: int
) -> None:
    """At once where it is said, or else after a while; what looks for the endpoint finds it by its tag."""
    world = World()
    world.cloud.faults["create"] = [refusal] * first
    run_id = upload(world)
    live = drive(world, run_id, Stage.LIVE)
    assert list(world.cloud.seen) == [f"{run_id}-2"]
    assert live.endpoint is not None
    assert live.endpoint.name == f"{run_id}-2"
    assert reconcile_resources(settings=SETTINGS, services=world.services) == [run_id]
    assert list(world.cloud.seen) == [f"{run_id}-2"]
    delete_endpoint(f"{run_id}-2", world.services)
    drive(world, run_id, Stage.DELETED)
    assert world.cloud.seen == {}


def test_an_endpoint_that_failed_is_made_again() -> None:
    """After a pause, longer each time, until the deadline of the stage."""
    world = World()
    run_id = upload(world)
    world.cloud.broken = 3
    live = drive(world, run_id, Stage.LIVE)
    assert [call for call, _ in world.cloud.begun].count("create") == 4
    assert live.rebuilds == 3
    world.cloud.broken = 1000
    second = upload(world, "other.jsonl", rows(tag=" again"))
    run = drive(world, second, Stage.STOPPED)
    assert run.error is not None
    assert (run.error.code, run.error.message) == ("EndpointFailed", "no addresses are left")
    assert [name for call, name in world.cloud.begun if call == "create"].count(second) < 30


def test_a_failed_run_whose_job_was_only_hidden_goes_on_with_it() -> None:
    """The reconciliation finds the job, at work or done, and trains nothing again."""
    for done in (True, False):
        world = World()
        run_id = upload(world)
        world.cloud.slow = True
        drive(world, run_id, Stage.TRAINING)
        world.cloud.hidden = True
        world.cloud.slow = done
        drive(world, run_id, Stage.FAILED)
        world.cloud.jobs[run_id] = JobStatus("Completed" if done else "Running")
        world.cloud.hidden = False
        assert reconcile_resources(settings=SETTINGS, services=world.services) == [run_id]
        live = drive(world, run_id, Stage.LIVE)
        assert live.error is None
        assert [call for call, _ in world.cloud.begun].count("submit") == 1
        assert "cancel" not in [call for call, _ in world.cloud.begun]


def test_the_same_content_again_offers_the_model_that_is_there() -> None:
    """A stopped run's model, and a failed run's whose job completed: nothing is trained twice."""
    for stage in (Stage.STOPPED, Stage.FAILED):
        world = World()
        first = upload(world)
        drive(world, first, Stage.STOPPED)
        if stage is Stage.FAILED:
            run = world.runs.load(first).run
            world.runs.replace(msgspec.structs.replace(run, stage=Stage.FAILED), world.runs.load(first).etag)
        second = drive(world, upload(world, "again.jsonl"), Stage.DUPLICATE)
        assert second.duplicate_of == first
        assert second.end_reason is not None
        assert f"POST /api/runs/{first}/start" in second.end_reason
        start_run(first, {}, settings=SETTINGS, services=world.services)
        assert drive(world, first, Stage.LIVE).model is not None
        assert [call for call, _ in world.cloud.begun].count("submit") == 1


def test_a_run_that_cannot_submit_gives_its_slot_back() -> None:
    """Another trains meanwhile; the limit holds once Azure ML accepts jobs again, and refusals are proven."""
    one = msgspec.structs.replace(SETTINGS, max_training_runs=1)
    world = World()
    first = upload(world)
    world.cloud.slow = True
    world.busy("submit", times=4)
    for _ in range(5):
        run = advance(world, first, one)
        assert run.due is not None
        world.now = run.due
        world.cloud.settle()
    assert not run.holds_slot(SlotKind.TRAINING)
    second = upload(world, "other.jsonl", rows(tag=" again"))
    world.cloud.faults.clear()
    assert drive(world, second, Stage.TRAINING, one).stage is Stage.TRAINING
    assert advance(world, first, one).stage is Stage.VALIDATED, "it waits for its turn again"
    world.cloud.settle()
    drive(world, second, Stage.LIVE, one)
    assert drive(world, first, Stage.LIVE, one).job is not None

    world.cloud.faults["submit"] = [ServiceRefusedError("no such compute", status=400)] * 100
    third = upload(world, "third.jsonl", rows(tag=" once more"))
    error = drive(world, third, Stage.FAILED, one).error
    assert error is not None
    assert error.message == "no such compute"


def test_a_model_that_one_answer_does_not_have_is_looked_for_again() -> None:
    """The registry's 404 ends a run before training only once it has lasted."""
    world = World()
    absent = AbsentError("registry azureml has no model Phi-4", code="ModelNotFound")
    world.cloud.faults["base_model"] = [absent] * 3
    assert drive(world, upload(world), Stage.LIVE).error is None
    world.cloud.faults["base_model"] = [absent] * 100
    opened = world.now
    run = drive(world, upload(world, "other.jsonl", rows(tag=" again")), Stage.FAILED)
    assert run.error is not None
    assert run.error.code == "ModelNotFound"
    assert world.now - opened >= SETTINGS.limits().refusal_deadline


SIZES = msgspec.structs.replace(
    SETTINGS,
    compute_cluster="serverless",
    compute_size=("Standard_NC24ads_A100_v4", "Standard_NC40ads_H100_v5"),
    deployment_instance_type=("Standard_NC24ads_A100_v4", "Standard_NC40ads_H100_v5"),
)
FULL = ServiceRefusedError("no capacity in the region", code="OutOfCapacity", status=400)


def test_a_cluster_that_fails_for_capacity_is_created_anew_with_the_next_size() -> None:
    """Azure ML took the request and failed later; a run that waits for it, too, takes the new size."""
    settings = msgspec.structs.replace(SIZES, compute_cluster="gpu-cluster")
    world = World()
    world.cloud.slow = True
    runs = [upload(world, f"{name}.jsonl", rows(tag=f" of {name}"), settings) for name in ("one", "two")]
    waiting = [advance(world, run_id, settings) for run_id in runs]
    assert all(run.compute_requested_at is not None for run in waiting)
    failed = world.cloud.computes["gpu-cluster"]._replace(state=Provisioning.FAILED, failure="no quota left")
    world.cloud.computes["gpu-cluster"] = failed
    world.cloud.slow = False
    for run_id in runs:
        live = drive(world, run_id, Stage.LIVE, settings)
        assert live.plan is not None
        assert (live.plan.compute_size, live.plan.gpus_per_node) == (SIZES.compute_size[1], 1)
    assert world.cloud.computes["gpu-cluster"].size == SIZES.compute_size[1]
    made = [call for call, _ in world.cloud.begun if call.endswith("_compute")]
    assert made == ["create_compute", "delete_compute", "create_compute"]


def test_a_cluster_that_somebody_else_asked_for_is_never_deleted() -> None:
    """It fails for capacity while a run waits for it: the run waits until its deadline, and gives up."""
    settings = msgspec.structs.replace(SIZES, compute_cluster="gpu-cluster")
    world = World()
    world.cloud.slow = True
    world.cloud.create_compute("gpu-cluster", SIZES.compute_size[0], max_nodes=1)
    run_id = upload(world, settings=settings)
    advance(world, run_id, settings)
    failed = world.cloud.computes["gpu-cluster"]._replace(state=Provisioning.FAILED, failure="no quota left")
    world.cloud.computes["gpu-cluster"] = failed
    run = advance(world, run_id, settings)
    while run.due is not None:
        world.now = max(world.now, run.due)
        run = advance(world, run_id, settings)
    assert run.stage is Stage.FAILED
    assert [call for call, _ in world.cloud.begun] == ["create_compute"]


def test_the_next_size_is_tried_where_azure_ml_refuses_one() -> None:
    """For the job and for the deployment, at once, with the reason on the record."""
    world = World()
    run_id = upload(world, settings=SIZES)
    world.cloud.faults |= {"submit": [FULL], "deploy": [FULL]}
    began = world.now
    live = drive(world, run_id, Stage.LIVE, SIZES)
    assert live.plan is not None
    assert live.plan.compute_size == live.options.instance_type == "Standard_NC40ads_H100_v5"
    assert [(one.option, one.reason) for one in live.size_changes] == [
        ("compute_size", FULL.message),
        ("instance_type", FULL.message),
    ]
    assert world.now - began < timedelta(minutes=1)

    world.cloud.faults["deploy"] = [FULL] * 1000
    second = upload(world, "other.jsonl", rows(tag=" again"), settings=SIZES)
    run = drive(world, second, Stage.STOPPED, SIZES)
    assert run.error is not None
    assert run.error.code == "OutOfCapacity"
    assert 950 < len(world.cloud.faults["deploy"]) < 990, "both sizes in turn, with growing pauses"
    assert len(run.size_changes) == 2
