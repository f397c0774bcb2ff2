"""Uploads that open no run: listed with reason and remedy, told once, forgotten when they are mended."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from handlers.events.notification_message import deliver_notification
from handlers.http.list_uploads import list_uploads
from handlers.timers.reconcile_uploads import LOOKS_BACK, reconcile_uploads
from shared.domain.errors import RequestError
from shared.domain.run.ignored import QUIET, IgnoredReason, explain
from shared.domain.run.uploads import BlobKind
from shared.workflow.open_run import take_upload
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, rows, upload

TOLD = msgspec.structs.replace(SETTINGS, webhook_url="https://example.test/hook")

NAMES = {
    "support.csv": "ConvertibleFile",
    "team/rows.parquet": "ConvertibleFile",
    "support.JSON": "ConvertibleFile",
    "support.zip": "ArchiveFile",
    "notes.txt": "UnsupportedFile",
    "support.jsonl.bak": "UnsupportedFile",
    "a\\b.jsonl": "UnusableName",
    "a\n.jsonl": "UnusableName",
    "a/../train.jsonl": "UnusableName",
    "x" * 200 + ".jsonl": "NameTooLong",
    "team/" * 40 + "train.jsonl": "NameTooLong",
    "team/more.jsonl": "NotAPart",
    "team/validation.jsonl": "NoTrainingFile",
    "team/run.json": "NoTrainingFile",
    "team/_SUCCESS": "NoTrainingFile",
    "run.json": "OptionsOutsideFolder",
}


def take(world: World, path: str) -> list[str]:
    """Tell the app of a blob, as an event does."""
    return take_upload(path, container="uploads", settings=SETTINGS, services=world.services)


def reconcile(world: World) -> list[str]:
    """Reconcile once."""
    return reconcile_uploads(container="uploads", settings=SETTINGS, services=world.services)


def listed(world: World) -> dict[str, str]:
    """What `GET /api/uploads?ignored=true` says: reason by path."""
    answered = json.loads(list_uploads({"ignored": "true"}, world.services).body)
    assert all(one["detail"] and one["remedy"] for one in answered["uploads"])
    return {one["path"]: one["reason"] for one in answered["uploads"]}


@pytest.mark.parametrize("told_by", ["event", "reconciliation"])
def test_what_opens_no_run_is_listed_with_its_reason(told_by: str) -> None:
    """Whether its event came or not; nothing is passed over in silence."""
    world = World()
    for path in NAMES:
        world.uploads.put(path, b"x")
    if told_by == "event":
        for path in NAMES:
            assert take(world, path) == []
    else:
        assert reconcile(world) == []
    assert listed(world) == NAMES
    assert len(world.notifications.waiting) == len(NAMES)


@pytest.mark.parametrize(
    ("facts", "body", "reason"),
    [
        ({"archived": True}, rows(), IgnoredReason.ARCHIVE_TIER),
        ({"kind": BlobKind.PAGE}, rows(), IgnoredReason.PAGE_BLOB),
        ({}, b"", IgnoredReason.EMPTY_FILE),
    ],
)
@pytest.mark.parametrize("name", ["train", "validation"])
def test_a_file_that_cannot_be_read_keeps_its_dataset_back(
    name: str, facts: dict[str, object], body: bytes, reason: IgnoredReason
) -> None:
    """No run opens with a part of the data; once the file is mended, the run opens and nothing is listed."""
    world = World()
    for part in ("train", "validation"):
        world.uploads.put(f"support/{part}.jsonl", rows(20))
    path = f"support/{name}.jsonl"
    world.uploads.put(path, body, **facts)
    assert take(world, "support/train.jsonl") == reconcile(world) == []
    assert listed(world) == {path: reason}
    world.uploads.put(path, rows(20))
    (run_id,) = take(world, path)
    assert len(world.runs.load(run_id).run.source.files) == 2
    assert listed(world) == {}


def test_what_may_still_come_is_waited_for() -> None:
    """A companion or a placeholder is not complained of while its uploader may be at work."""
    world = World()
    world.uploads.put("team/validation.jsonl", rows(), modified=world.now)
    world.uploads.put("big.jsonl", b"", modified=world.now)
    for path in ("team/validation.jsonl", "big.jsonl"):
        assert take(world, path) == reconcile(world) == []
    assert listed(world) == {}
    world.now += QUIET
    reconcile(world)
    assert listed(world) == {"team/validation.jsonl": "NoTrainingFile", "big.jsonl": "EmptyFile"}
    world.uploads.put("team/train.jsonl", rows())
    assert len(take(world, "team/train.jsonl")) == 1
    assert listed(world) == {"big.jsonl": "EmptyFile"}


def test_of_two_files_for_one_part_the_other_is_named() -> None:
    """The plain one is used beside a plain training file, and the compressed one is listed."""
    world = World()
    for name in ("train.jsonl", "validation.jsonl", "validation.jsonl.gz"):
        world.uploads.put(f"a/{name}", rows())
    (run_id,) = reconcile(world)
    assert [file.path for file in world.runs.load(run_id).run.source.files] == [
        "a/train.jsonl",
        "a/validation.jsonl",
    ]
    assert listed(world) == {"a/validation.jsonl.gz": "SuperfluousFile"}


def test_a_training_file_from_before_the_app_is_named() -> None:
    """It trains nothing by itself, and says how it can."""
    world = World()
    world.uploads.put("old.jsonl", rows(), modified=world.now - LOOKS_BACK - timedelta(seconds=1))
    reconcile(world)
    assert listed(world) == {"old.jsonl": "TooOld"}
    assert len(take(world, "old.jsonl")) == 1


def test_the_webhook_is_told_once() -> None:
    """With reason and remedy, however often the blob is seen; a new version of it is told anew."""
    world = World()
    world.uploads.put("support.csv", b"a,b")
    for _ in range(3):
        take(world, "support.csv")
        reconcile(world)
    ((notification, _),) = world.notifications.waiting
    text = msgspec.json.encode(notification).decode()
    deliver_notification(text, settings=TOLD, services=world.services)
    ((body, _),) = world.notifications.taken
    event = json.loads(body)
    assert (event["type"], event["subject"]) == ("finetune.upload.ignored", "support.csv")
    detail, remedy = explain("support.csv", IgnoredReason.CONVERTIBLE_FILE)
    assert (event["data"]["detail"], event["data"]["remedy"]) == (detail, remedy)
    world.uploads.put("support.csv", b"a,b,c")
    take(world, "support.csv")
    assert len(world.notifications.waiting) == 2
    assert len(world.ignored_uploads.kept) == 1


def test_what_was_mended_before_it_was_told_is_not_told() -> None:
    """Its notification finds nothing, and is dropped after a few tries."""
    world = World()
    world.uploads.put("support.csv", b"a,b")
    take(world, "support.csv")
    ((notification, _),) = world.notifications.waiting
    del world.uploads.files["support.csv"]
    reconcile(world)
    deliver_notification(msgspec.json.encode(notification).decode(), settings=TOLD, services=world.services)
    assert (listed(world), world.notifications.taken) == ({}, [])


def test_the_list_is_bounded_and_says_so() -> None:
    """The newest first, as many as asked for; the other uploads are under `GET /api/runs`."""
    world = World()
    for number in range(3):
        world.now += timedelta(minutes=1)
        world.uploads.put(f"{number}.csv", b"x")
        take(world, f"{number}.csv")
    answered = json.loads(list_uploads({"ignored": "true", "limit": "2"}, world.services).body)
    assert [one["path"] for one in answered["uploads"]] == ["2.csv", "1.csv"]
    assert answered["more"] == 1
    for query in ({}, {"ignored": "false"}, {"ignored": "true", "limit": "0"}):
        with pytest.raises(RequestError):
            list_uploads(query, world.services)


def test_an_upload_with_a_run_is_not_listed() -> None:
    """Nor are the files beside it."""
    world = World()
    world.uploads.put("support/run.json", b"{}")
    world.uploads.put("support/_SUCCESS", b"")
    upload(world, "support/train.jsonl")
    reconcile(world)
    assert listed(world) == {}
