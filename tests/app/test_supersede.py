"""An upload that changes after its run was opened: the run follows it until training starts."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from handlers.http.request_changes import retry_run
from handlers.timers.reconcile_uploads import reconcile_uploads
from shared.domain.run.observation import JobStatus
from shared.domain.run.run import Run
from shared.domain.run.stages import Stage
from shared.domain.run.uploads import RESOLUTION
from shared.domain.run.waiting import waiting_for
from shared.workflow.open_run import take_upload
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, advance, drive, rows, stages, upload

ONE = msgspec.structs.replace(SETTINGS, max_training_runs=1)
"""One training slot, which another run holds: runs wait, validated."""


def take(world: World, path: str) -> list[str]:
    """Tell the app of a blob, as an event does."""
    return take_upload(path, container="uploads", settings=SETTINGS, services=world.services)


def run_of(world: World, run_id: str) -> Run:
    """The record as it is."""
    return world.runs.load(run_id).run


def waiting(
    path: str = "support/train.jsonl", body: bytes | None = None, settle: float = 0
) -> tuple[World, str, str]:
    """A world in which a run is validated and waits for the slot of another; both run ids."""
    world = World()
    world.cloud.slow = True
    holder = upload(world, "holder.jsonl", rows(tag=" of the holder"))
    drive(world, holder, Stage.TRAINING, ONE)
    if settle:
        options = json.dumps({"settle_seconds": settle}).encode()
        world.uploads.put(path.replace("train.jsonl", "run.json"), options)
    run_id = upload(world, path, body)
    run = advance(world, run_id, ONE)
    while not (run.stage is Stage.VALIDATED and run.slot is not None):
        world.cloud.settle()
        assert run.due is not None
        world.now = max(world.now, run.due)
        run = advance(world, run_id, ONE)
    return world, holder, run_id


def finish(world: World, *holders: str) -> None:
    """End the jobs of runs."""
    for holder in holders:
        world.cloud.jobs[holder] = JobStatus("Failed", failure="done with it")
        drive(world, holder, Stage.FAILED, ONE)


def test_three_quick_uploads_make_one_trained_model() -> None:
    """Each newer version takes the place of the one before, which ends without having cost anything."""
    world, holder, first = waiting("support.jsonl")
    second = upload(world, "support.jsonl", rows(61))
    advance(world, second, ONE)
    third = upload(world, "support.jsonl", rows(62))
    for _ in range(3):
        for run_id in (first, second, third):
            advance(world, run_id, ONE)
        world.now += timedelta(minutes=1)
    ended = [run_of(world, run_id) for run_id in (first, second)]
    assert [(run.stage, run.billable) for run in ended] == [(Stage.CANCELED, False)] * 2
    assert all("a newer version of support.jsonl" in (run.end_reason or "") for run in ended)
    finish(world, holder)
    drive(world, third, Stage.LIVE, ONE)
    assert [name for call, name in world.cloud.begun if call == "register"] == [third]


def test_a_newer_version_with_the_same_content_trains_once() -> None:
    """Where storage knows no digest, the rows tell: the newest run takes the claim of the one it replaces."""
    world, holder, first = waiting("support.jsonl")
    world.uploads.put("support.jsonl", rows(), md5=None)
    (second,) = take(world, "support.jsonl")
    for _ in range(3):
        for run_id in (second, first):
            advance(world, run_id, ONE)
        world.now += timedelta(minutes=1)
    assert run_of(world, first).stage is Stage.CANCELED
    finish(world, holder)
    assert drive(world, second, Stage.LIVE, ONE).duplicate_of is None


def test_the_same_bytes_again_are_a_duplicate_of_the_run_that_waits() -> None:
    """Known by their digest: the earlier run keeps its turn, and the event is still answered."""
    world, holder, first = waiting("support.jsonl")
    second = upload(world, "support.jsonl")
    assert advance(world, second, ONE).duplicate_of == first
    finish(world, holder)
    drive(world, first, Stage.LIVE, ONE)


@pytest.mark.parametrize("stage", [Stage.RECEIVED, Stage.VALIDATED])
def test_changed_properties_change_nothing(stage: Stage) -> None:
    """Metadata that a tool sets later give the blob another ETag; its run goes on, and is the only one."""
    world = World()
    if stage is Stage.VALIDATED:
        world, holder, run_id = waiting("support.jsonl")
    else:
        run_id = upload(world, "support.jsonl")
    world.uploads.put("support.jsonl", rows())
    assert reconcile_uploads(container="uploads", settings=SETTINGS, services=world.services) == []
    if stage is Stage.VALIDATED:
        finish(world, holder)
    run = drive(world, run_id, Stage.LIVE, ONE)
    assert stages(run)[:3] == ["received", "validated", "training"]


@pytest.mark.parametrize("name", ["validation.jsonl", "run.json"])
def test_a_companion_that_comes_before_training_is_used(name: str) -> None:
    """The run reads the folder anew, with all that it has then, and trains once."""
    world, holder, run_id = waiting()
    world.uploads.put(f"support/{name}", b'{"lifetime_hours": 3}' if name == "run.json" else rows(30, "?"))
    assert take(world, f"support/{name}") == [run_id]
    advance(world, run_id, ONE)
    finish(world, holder)
    run = drive(world, run_id, Stage.LIVE, ONE)
    assert stages(run)[:5] == ["received", "validated", "received", "validated", "training"]
    if name == "run.json":
        assert run.options.lifetime_hours == 3
    else:
        assert [file.path for file in run.source.files] == ["support/train.jsonl", "support/validation.jsonl"]
    assert [call for call, _ in world.cloud.begun].count("register") == 1


def test_a_companion_that_is_still_changing_is_waited_for() -> None:
    """The run says so, and reads the folder anew when it has been left alone."""
    world, _, run_id = waiting(settle=10)
    world.uploads.put("support/validation.jsonl", rows(30, "?"), modified=world.now)
    run = advance(world, run_id, ONE)
    assert (waiting_for(run) or "").startswith("settle: the upload changed")
    assert run.due == run.settles_at == world.now + RESOLUTION + timedelta(seconds=10)
    world.now = run.due
    run = advance(world, run_id, ONE)
    assert len(run.source.files) == 2
    assert "settle" not in (waiting_for(run) or "")


def test_a_companion_that_comes_later_is_told() -> None:
    """On the run, until somebody takes note; after the run's end, among the ignored uploads."""
    world = World()
    world.cloud.slow = True
    run_id = upload(world, "support/train.jsonl")
    drive(world, run_id, Stage.TRAINING)
    world.uploads.put("support/test.jsonl", rows(30, "!"), modified=world.now + timedelta(seconds=1))
    assert reconcile_uploads(container="uploads", settings=SETTINGS, services=world.services) == [run_id]
    advance(world, run_id)
    (entry,) = world.runs.entries()
    assert entry.attention is not None
    assert entry.attention.startswith("support/test.jsonl came after training had started")
    assert entry.needs_attention(world.now)
    assert reconcile_uploads(container="uploads", settings=SETTINGS, services=world.services) == []
    retry_run(run_id, world.services)
    (entry,) = world.runs.entries()
    assert not entry.needs_attention(world.now)

    drive(world, run_id, Stage.LIVE)
    world.now += timedelta(days=2)
    drive(world, run_id, Stage.STOPPED)
    take(world, "support/test.jsonl")
    (ignored,) = world.ignored_uploads.entries()
    assert (ignored.path, ignored.reason) == ("support/test.jsonl", "LateFile")
    reconcile_uploads(container="uploads", settings=SETTINGS, services=world.services)
    assert list(world.ignored_uploads.entries()) == [ignored]


def test_a_run_json_that_turns_bad_ends_its_run() -> None:
    """What it asks for now cannot be done, and nothing was asked of Azure ML."""
    world, _, run_id = waiting()
    world.uploads.put("support/run.json", b'{"instance_count": 0}')
    take(world, "support/run.json")
    run = advance(world, run_id, ONE)
    assert run.stage is Stage.FAILED
    assert run.error is not None
    assert run.error.code == "InvalidOptions"


def test_a_claim_of_content_that_is_trained_no_more_holds_up_nobody() -> None:
    """A run that was opened anew trains something else; whoever has its former rows trains them."""
    world, _, first = waiting(body=rows(60))
    world.uploads.put("support/validation.jsonl", rows(30, "?"))
    advance(world, first, ONE)
    assert stages(run_of(world, first))[-1] == "validated"
    second = upload(world, "other/train.jsonl", rows(60))
    assert advance(world, second, ONE).duplicate_of is None


def test_nothing_is_followed_once_training_has_started() -> None:
    """A newer version then has a run of its own, and this one goes to its end."""
    world = World()
    world.cloud.slow = True
    first = upload(world)
    drive(world, first, Stage.TRAINING)
    second = upload(world, body=rows(61))
    drive(world, second, Stage.LIVE)
    drive(world, first, Stage.LIVE)


def test_an_upload_that_is_replaced_while_it_is_read_is_followed() -> None:
    """The reader notices, and the next advance sees what became of the file."""
    world = World()
    run_id = upload(world)
    read = world.uploads.read

    def replaced(*args: object) -> object:
        world.uploads.read = read  # type: ignore[method-assign]
        world.uploads.put("support.jsonl", rows(61))
        return read(*args)  # type: ignore[arg-type]

    world.uploads.read = replaced  # type: ignore[assignment,method-assign]
    run = advance(world, run_id)
    assert run.stage is Stage.RECEIVED
    assert drive(world, run_id, Stage.CANCELED).error is None
    ((check, _),) = world.upload_checks.waiting
    assert check.path == "support.jsonl"
