"""Uploads whose event got lost: each gets its run, once, without a look at every blob."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handlers.timers.reconcile_uploads import LOOKS_BACK, MOST_OPENED, reconcile_uploads
from shared.domain.errors import TransientServiceError
from shared.domain.run.uploads import UploadedBlob
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, rows, upload


def reconcile(world: World) -> list[str]:
    """Reconcile once."""
    return reconcile_uploads(container="uploads", settings=SETTINGS, services=world.services)


def test_an_upload_whose_event_was_lost_gets_its_run() -> None:
    """The same run as its event would have opened, and once; uploads with a run are left alone."""
    world = World()
    upload(world, "known.jsonl")
    before = dict(world.runs.blobs)
    world.uploads.put("team/train.jsonl", rows())
    world.uploads.put("team/validation.jsonl", rows(20))
    (lost,) = reconcile(world)
    assert [file.path for file in world.runs.load(lost).run.source.files] == [
        "team/train.jsonl",
        "team/validation.jsonl",
    ]
    assert {name: blob for name, blob in world.runs.blobs.items() if name != lost} == before
    assert reconcile(world) == []


def test_uploads_that_are_older_than_the_app_train_nothing() -> None:
    """A container that was full before the app came, or records that were cleared away, cost nothing."""
    world = World()
    world.uploads.put("old.jsonl", rows(), modified=world.now - LOOKS_BACK - timedelta(seconds=1))
    assert reconcile(world) == []


def test_a_tick_is_bounded_and_asks_about_no_blob_that_has_a_run() -> None:
    """A thousand uploads cost two listings; of many that were lost, some wait for the next tick."""
    world = World()
    asked: list[str] = []
    find = world.uploads.find

    def counted(path: str) -> UploadedBlob | None:
        asked.append(path)
        return find(path)

    for number in range(MOST_OPENED + 1):
        world.uploads.put(f"d{number}.jsonl", rows(1))
    assert len(reconcile(world)) == MOST_OPENED
    assert len(reconcile(world)) == 1
    listed = list(world.uploads.every(unlisted=[]))
    world.uploads.every = lambda **_: iter(listed)  # type: ignore[method-assign]
    world.uploads.find = counted  # type: ignore[method-assign]
    assert reconcile(world) == []
    assert asked == []


def test_one_upload_that_cannot_be_opened_holds_up_no_other() -> None:
    """The next tick tries it again."""
    world = World()
    for name in ("a", "b"):
        world.uploads.put(f"{name}.jsonl", rows())
    find, busy = world.uploads.find, [TransientServiceError("busy")]

    def fragile(path: str) -> UploadedBlob | None:
        if busy and path == "a.jsonl":
            raise busy.pop()
        return find(path)

    listed = list(world.uploads.every(unlisted=[]))
    world.uploads.every = lambda **_: iter(listed)  # type: ignore[method-assign]
    world.uploads.find = fragile  # type: ignore[method-assign]
    (second,) = reconcile(world)
    (first,) = reconcile(world)
    assert [world.runs.load(run_id).run.dataset for run_id in (first, second)] == ["a", "b"]


def test_uploads_that_storage_cannot_list_hide_no_others(caplog: pytest.LogCaptureFixture) -> None:
    """The others' runs are opened, somebody is told, and nothing is taken for deleted."""
    world = World()
    world.uploads.put("readme.txt", b"?", modified=world.now - timedelta(hours=1))
    reconcile(world)
    kept = list(world.ignored_uploads.entries())
    assert len(kept) == 1
    world.uploads.put("support.jsonl", rows())
    world.uploads.unlistable = ["re"]
    assert len(reconcile(world)) == 1
    assert list(world.ignored_uploads.entries()) == kept
    (told,) = (record for record in caplog.records if "cannot list" in record.message)
    assert told.prefixes == ["re"]  # type: ignore[attr-defined]
