"""Resources that no run will remove: late jobs, and those of suspended runs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta

import msgspec
import pytest

from handlers.events.advance_message import MAX_DELIVERIES, handle_advance_message
from handlers.http.request_changes import cancel_run
from handlers.timers.reconcile_resources import reconcile_resources
from shared.domain.errors import CorruptRunError, ServiceRefusedError, TransientServiceError
from shared.domain.run.index import IndexEntry
from shared.domain.run.index_metadata import to_metadata
from shared.domain.run.names import RUN_TAG
from shared.domain.run.observation import DeploymentStatus, EndpointStatus, JobStatus, Provisioning
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from tests.app.builders import NOW, RUN_ID, WORKSPACE, a_run
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, drive, rows, upload

LIMITS = SETTINGS.limits()
JUST_BEFORE = timedelta(seconds=-1)


def reconcile(world: World) -> list[str]:
    """Reconcile once."""
    return reconcile_resources(settings=SETTINGS, services=world.services)


def with_everything(run: Run, *, job: str) -> World:
    """A run with an endpoint and a job."""
    world = World()
    world.runs.create(run)
    world.cloud.seen[RUN_ID] = EndpointStatus(
        Provisioning.READY, None, {"main": 100}, DeploymentStatus(Provisioning.READY)
    )
    world.cloud.tags[RUN_ID] = {RUN_TAG: RUN_ID}
    world.cloud.jobs[RUN_ID] = JobStatus(job)
    return world


def lose_submission(world: World) -> str:
    """A submission that times out, and whose run is canceled and ends before it arrives."""
    run_id = upload(world, "late.jsonl", rows(tag=" or so"))
    world.cloud.faults["submit"] = [TransientServiceError("no answer")]
    advance(world, run_id)
    cancel_run(run_id, world.services)
    drive(world, run_id, Stage.CANCELED)
    return run_id


@pytest.mark.parametrize("stage", [Stage.DEPLOYING, Stage.DELETING])
@pytest.mark.parametrize("corrupt", [False, True])
def test_a_suspended_runs_endpoint_is_deleted_after_its_deadline(stage: Stage, corrupt: bool) -> None:
    """Not before; and the run goes on asking for a person."""
    world = with_everything(a_run(stage), job="Completed")
    if corrupt:
        world.runs.corrupt(RUN_ID)
    world.runs.suspend(RUN_ID, "why", until=NOW + timedelta(days=9))
    world.now = NOW + LIMITS.deployment_deadline + JUST_BEFORE
    reconcile(world)
    assert world.cloud.begun == []
    world.now = NOW + LIMITS.deployment_deadline
    reconcile(world)
    assert world.cloud.begun == [("delete", RUN_ID)]
    (entry,) = world.runs.entries()
    assert entry.needs_attention(world.now)
    assert entry.suspended == "why"


BLOCKED = {
    Stage.VALIDATED: ("cancel", LIMITS.training_deadline + LIMITS.deployment_deadline),
    Stage.TRAINING: ("cancel", LIMITS.training_deadline + LIMITS.deployment_deadline),
    Stage.DEPLOYING: ("delete", 2 * LIMITS.deployment_deadline),
    Stage.LIVE: ("delete", timedelta(hours=24) + LIMITS.deployment_deadline),
}


@pytest.mark.parametrize("stage", BLOCKED)
def test_what_a_run_has_that_nobody_can_write_to_is_taken_away(stage: Stage) -> None:
    """No advance comes to an end and no suspending either: well after its own deadline, others act for it."""
    call, when = BLOCKED[stage]
    world = with_everything(a_run(stage, billable=True), job="Running")
    world.now = NOW + when + JUST_BEFORE
    reconcile(world)
    assert world.cloud.begun == []
    world.now = NOW + when
    reconcile(world)
    assert world.cloud.begun == [(call, RUN_ID)]
    (entry,) = world.runs.entries()
    assert entry.needs_attention(world.now)


def test_a_run_that_waits_its_turn_for_long_keeps_its_job() -> None:
    """How long it has been validated says nothing of the job that it has at last."""
    ages = timedelta(days=30)
    world = with_everything(a_run(Stage.VALIDATED, billable=True, due=NOW + ages), job="Running")
    world.now = NOW + ages + timedelta(hours=1)
    reconcile(world)
    world.runs.suspend(RUN_ID, "why", until=NOW)
    reconcile(world)
    assert world.cloud.jobs[RUN_ID].status == "Running"


@pytest.mark.parametrize("surprise", [KeyError("properties"), ServiceRefusedError("locked")])
@pytest.mark.parametrize("call", ["job", "cancel", "delete"])
def test_one_surprise_holds_up_no_other(call: str, surprise: Exception) -> None:
    """Whatever one run's job or endpoint answers, those of the others are seen to."""
    world = with_everything(a_run(Stage.DELETED), job="Running")
    lost = a_run(Stage.LIVE, run_id="ft-lost-0123456789")
    world.runs.create(lost)
    suspended = a_run(Stage.TRAINING, run_id="ft-faq-0123456789")
    world.runs.create(suspended)
    world.runs.suspend(suspended.run_id, "why", until=NOW)
    world.cloud.jobs[suspended.run_id] = JobStatus("Running")
    world.now = NOW + LIMITS.training_deadline
    world.cloud.faults[call] = [surprise]
    assert lost.run_id in reconcile(world)
    reconcile(world)
    assert world.cloud.jobs[suspended.run_id].status == "Canceled"
    assert world.cloud.seen == {}


def test_a_time_that_lies_far_ahead_stops_no_reconciliation() -> None:
    """An index entry may say anything."""
    world = with_everything(a_run(Stage.DELETED), job="Completed")
    world.runs.create(a_run(Stage.DELETING, run_id="ft-odd-0123456789"))
    world.runs.blobs["ft-odd-0123456789"].metadata["entered"] = "9999-12-31T23:59:59+00:00"
    reconcile(world)
    assert world.cloud.begun == [("delete", RUN_ID)]


def test_a_job_that_does_not_stop_is_asked_again() -> None:
    """A request to cancel that came to nothing is no end."""
    world = with_everything(a_run(Stage.DELETING), job="Running")
    world.cloud.slow = True
    world.now = NOW + LIMITS.deployment_deadline
    reconcile(world)
    reconcile(world)
    assert [call for call, _ in world.cloud.begun].count("cancel") == 2


def test_a_run_that_begins_during_a_reconciliation_keeps_its_endpoint() -> None:
    """Its record is older than its endpoint: it is in any list of records made after one of endpoints."""
    world = World()
    begun: list[str] = []

    def begin() -> None:
        run = a_run(Stage.DEPLOYING, run_id=f"ft-new-{len(begun):010x}")
        begun.append(run.run_id)
        world.runs.create(run)
        world.cloud.create(run.run_id, auth_mode="key", tags={RUN_TAG: run.run_id})

    entries, listed = world.runs.entries, world.cloud.list_owned

    def entries_and_begin() -> Iterator[IndexEntry]:
        found = list(entries())
        begin()
        return iter(found)

    def list_and_begin() -> Iterable[tuple[str, str]]:
        found = list(listed())
        begin()
        return found

    world.runs.entries = entries_and_begin  # type: ignore[method-assign]
    world.cloud.list_owned = list_and_begin  # type: ignore[method-assign]
    reconcile(world)
    assert len(begun) == 3
    assert set(world.cloud.seen) == set(begun)


def test_a_run_whose_endpoint_was_removed_ends_once_it_is_back() -> None:
    """It has had its time: the endpoint is not made anew."""
    world = with_everything(a_run(Stage.DEPLOYING), job="Completed")
    world.runs.suspend(RUN_ID, "why", until=NOW)
    world.now = NOW + LIMITS.deployment_deadline + timedelta(minutes=1)
    reconcile(world)
    run = drive(world, RUN_ID, Stage.STOPPED)
    assert (run.stage, run.error and run.error.code) == (Stage.STOPPED, "DeadlineExceeded")
    assert world.cloud.begun == [("delete", RUN_ID)]


@pytest.mark.parametrize("run", [a_run(Stage.TRAINING), a_run(Stage.VALIDATED, billable=True)])
def test_a_suspended_runs_job_is_canceled_after_its_deadline(run: Run) -> None:
    """Nobody is left to read how long it has been training, but for the index."""
    world = World()
    world.runs.create(run)
    world.cloud.jobs[RUN_ID] = JobStatus("Running")
    world.runs.corrupt(RUN_ID)
    world.runs.suspend(RUN_ID, "why", until=NOW + timedelta(days=9))
    world.now = NOW + LIMITS.training_deadline + JUST_BEFORE
    reconcile(world)
    assert world.cloud.begun == []
    world.now = NOW + LIMITS.training_deadline
    reconcile(world)
    reconcile(world)
    assert world.cloud.begun == [("cancel", RUN_ID)]


def test_a_teardown_that_lasts_is_helped() -> None:
    """One look that always fails keeps a run from the other half of its work, but not the reconciliation."""
    world = with_everything(a_run(Stage.DELETING), job="Running")
    world.now = NOW + LIMITS.deployment_deadline
    reconcile(world)
    assert sorted(world.cloud.begun) == [("cancel", RUN_ID), ("delete", RUN_ID)]


def test_a_run_of_which_nothing_is_known_keeps_nothing() -> None:
    """Neither record nor index entry can be read: it is looked at, suspended, and then taken away."""
    world = with_everything(a_run(Stage.LIVE), job="Running")
    world.runs.corrupt(RUN_ID)
    world.runs.blobs[RUN_ID].metadata.clear()
    assert reconcile(world) == [RUN_ID]
    assert world.cloud.begun == []
    with pytest.raises(CorruptRunError):
        handle_advance_message(RUN_ID, delivery=MAX_DELIVERIES, settings=SETTINGS, services=world.services)
    assert reconcile(world) == []
    assert sorted(world.cloud.begun) == [("cancel", RUN_ID), ("delete", RUN_ID)]


def test_an_index_entry_that_was_lost_is_written_anew() -> None:
    """The record is sound: the run goes on, and its endpoint stays."""
    world = with_everything(a_run(Stage.LIVE), job="Completed")
    world.runs.blobs[RUN_ID].metadata.clear()
    assert reconcile(world) == [RUN_ID]
    run = advance(world, RUN_ID)
    assert world.runs.blobs[RUN_ID].metadata == to_metadata(run)
    assert world.cloud.begun == []


def test_what_is_no_run_is_not_asked_about() -> None:
    """A blob that somebody put among the records names nothing in Azure ML."""
    world = World()
    world.runs.create(a_run())
    world.runs.blobs["../notes"] = world.runs.blobs.pop(RUN_ID)
    world.runs.blobs["../notes"].metadata = {"suspended": "why"}
    world.cloud.job = world.cloud.jobs.__getitem__  # type: ignore[method-assign,assignment]
    assert reconcile(world) == []


def test_a_job_that_arrives_after_its_runs_end_is_canceled() -> None:
    """The submission was given up, the run was canceled and ended, and then the job was there."""
    world = World()
    run_id = lose_submission(world)
    world.now += timedelta(hours=23)
    reconcile(world)
    assert "cancel" not in dict(world.cloud.begun)
    world.cloud.jobs[run_id] = JobStatus("Running")
    reconcile(world)
    assert world.cloud.jobs[run_id].status == "Canceled"


def test_a_late_job_that_cannot_be_canceled_holds_up_nothing() -> None:
    """The next reconciliation tries again, and this one still deletes orphaned endpoints."""
    world = World()
    run_id = lose_submission(world)
    world.cloud.jobs[run_id] = JobStatus("Running")
    world.cloud.seen[run_id] = EndpointStatus(Provisioning.READY, None, {})
    world.cloud.tags[run_id] = {RUN_TAG: run_id}
    world.cloud.faults["cancel"] = [ServiceRefusedError("locked")]
    reconcile(world)
    assert world.cloud.seen == {}
    reconcile(world)
    assert world.cloud.jobs[run_id].status == "Canceled"


def test_a_reconciliation_asks_about_few_jobs() -> None:
    """Runs on their way watch theirs, and one that was seen to end cannot appear late."""
    world = World()
    run_id = upload(world)
    drive(world, run_id, Stage.LIVE)
    cancel_run(run_id, world.services)
    drive(world, run_id, Stage.DELETED)
    late = lose_submission(world)
    world.runs.create(a_run(Stage.TRAINING, now=world.now))
    looks: list[str] = []
    world.cloud.job = lambda name, _run: looks.append(name)  # type: ignore[method-assign,assignment]
    reconcile(world)
    assert looks == [late]
    world.now += timedelta(days=1)
    reconcile(world)
    assert looks == [late]


@pytest.mark.parametrize("fault", [TransientServiceError("busy"), ServiceRefusedError("forbidden")])
def test_who_needs_a_person_is_said_though_azure_ml_is_down(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The alert watches for this line, which matters most when nothing can be deleted."""
    world = World()
    world.runs.create(a_run(Stage.DELETING))
    world.now = NOW + timedelta(hours=3)
    world.cloud.faults = {name: [fault] for name in ("list_owned", "job", "endpoint")}
    with caplog.at_level(logging.ERROR), pytest.raises(type(fault)):
        reconcile(world)
    (line,) = (one for one in caplog.records if one.message.startswith("a run needs attention "))
    assert line.levelno == logging.ERROR
    assert (line.__dict__["run_id"], line.__dict__["stage"]) == (RUN_ID, Stage.DELETING)


def test_what_a_run_that_is_over_left_behind_is_told() -> None:
    """Its job or endpoint goes, the run asks for attention, and no more once nothing is found."""
    for stage in (Stage.FAILED, Stage.CANCELED, Stage.DELETED):
        world = with_everything(a_run(stage, billable=True, workspace_id=WORKSPACE, job=None), job="Running")
        reconcile(world)
        assert world.cloud.jobs[RUN_ID].status == "Canceled"
        assert world.cloud.seen == {}
        (entry,) = world.runs.entries()
        assert entry.is_stuck(world.now)
        assert entry.stage is stage
        reconcile(world)
        (entry,) = world.runs.entries()
        assert not entry.is_stuck(world.now)


def test_every_deletion_is_one_audit_line(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever wonders where an endpoint went finds which run it was of, and why it had to go."""
    world = with_everything(a_run(Stage.DELETED), job="Completed")
    with caplog.at_level(logging.WARNING, "finetune.audit"):
        reconcile(world)
    (line,) = (one for one in caplog.records if one.name == "finetune.audit")
    facts = {name: line.__dict__[name] for name in ("action", "resource", "run_id", "reason", "dry_run")}
    assert facts == {
        "action": "delete endpoint",
        "resource": RUN_ID,
        "run_id": RUN_ID,
        "reason": "no run will delete it; its run is deleted",
        "dry_run": False,
    }


@pytest.mark.parametrize("name", ["ft-copy-0123456789", "my-chat", f"{RUN_ID}-copy"])
def test_a_copy_of_an_endpoint_is_left_alone(name: str) -> None:
    """Whoever exports an endpoint and deploys it under another name takes its tags along."""
    world = with_everything(a_run(Stage.DELETED), job="Completed")
    world.cloud.seen[name] = EndpointStatus(Provisioning.READY, None, {})
    world.cloud.tags[name] = {RUN_TAG: RUN_ID}
    reconcile(world)
    assert list(world.cloud.seen) == [name]


def test_a_dry_run_tells_and_touches_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Each deletion and cancellation is a line of the audit log, and no call."""
    world = with_everything(a_run(Stage.DELETED, job=None), job="Running")
    dry = msgspec.structs.replace(SETTINGS, reconcile_dry_run=True)
    with caplog.at_level(logging.WARNING, "finetune.audit"):
        reconcile_resources(settings=dry, services=world.services)
    lines = [one for one in caplog.records if one.name == "finetune.audit"]
    assert {(line.__dict__["action"], line.__dict__["dry_run"]) for line in lines} == {
        ("cancel job", True),
        ("delete endpoint", True),
    }
    assert world.cloud.begun == []
    (entry,) = world.runs.entries()
    assert entry.needs_attention(world.now)


@pytest.mark.parametrize("known", [True, False])
def test_an_endpoint_without_a_record_is_deleted_if_its_run_was_known(
    known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A record may be lost; tags and a name alone may be anybody's, and somebody is told."""
    world = with_everything(a_run(Stage.LIVE), job="Completed")
    if known:
        advance(world, RUN_ID)
    world.runs.blobs.clear()
    with caplog.at_level(logging.ERROR):
        reconcile(world)
    assert world.cloud.begun == ([("delete", RUN_ID)] if known else [])
    told = any("with the tags of this app belongs to no run" in line.message for line in caplog.records)
    assert told is not known


def test_a_listing_that_lacks_a_run_is_not_believed() -> None:
    """One answer proves nothing: the record is asked for before its endpoint is taken for nobody's."""
    world = with_everything(a_run(Stage.LIVE), job="Completed")
    advance(world, RUN_ID)
    world.runs.entries = lambda **_: []  # type: ignore[method-assign]
    reconcile(world)
    assert world.cloud.begun == []


def test_a_run_that_never_asked_for_anything_owns_no_endpoint() -> None:
    """Its name and tags on an endpoint are somebody's doing: nothing on its record says that it made one."""
    world = with_everything(a_run(Stage.REJECTED), job="Completed")
    reconcile(world)
    assert world.cloud.begun == []
