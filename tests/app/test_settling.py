"""An upload is judged when it is whole: what is still changing opens no run."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

import msgspec
import pytest

from handlers.events.upload_message import handle_upload_message
from handlers.events.upload_renamed import handle_upload_renamed
from shared.domain.run.ignored import QUIET
from shared.domain.run.run import Run
from shared.domain.run.uploads import RESOLUTION, BlobKind
from shared.workflow.open_run import SLOWEST, take_upload
from tests.app.fakes import World
from tests.app.worlds import SETTINGS, rows

SETTLE = timedelta(seconds=10)
SETTLING = msgspec.structs.replace(SETTINGS, settle_seconds=SETTLE.total_seconds())


def put(world: World, path: str, body: bytes, **facts: object) -> None:
    """Upload a file now, and deliver its event."""
    world.uploads.put(path, body, modified=world.now, **facts)
    take_upload(path, container="uploads", settings=SETTLING, services=world.services)


def look(world: World, span: timedelta) -> None:
    """Let time pass, and deliver the messages whose time comes meanwhile, each when it does."""
    end = world.now + span
    queue = world.upload_checks
    while queue.waiting:
        check, delay = min(queue.waiting, key=lambda message: message[1])
        if world.now + delay > end:
            break
        queue.waiting = [(other, left - delay) for other, left in queue.waiting if other is not check]
        world.now += delay
        text = msgspec.json.encode(check).decode()
        handle_upload_message(text, container="uploads", settings=SETTLING, services=world.services)
    passed = end - world.now
    queue.waiting = [(check, left - passed) for check, left in queue.waiting]
    world.now = end


def runs(world: World) -> list[Run]:
    """The runs that there are."""
    return [world.runs.load(run_id).run for run_id in world.runs.blobs]


def test_a_run_opens_once_its_upload_has_been_left_alone() -> None:
    """Three uploads of a file in short order are one run, for what came last."""
    world = World()
    for number in (20, 30, 40):
        put(world, "support.jsonl", rows(number))
        look(world, SETTLE - timedelta(seconds=1))
        assert runs(world) == []
    look(world, timedelta(seconds=3))
    (run,) = runs(world)
    assert run.source.files[0].size == len(rows(40))
    look(world, timedelta(hours=1))
    assert (len(runs(world)), world.upload_checks.waiting) == (1, [])


FOLDER = ("train.jsonl", "validation.jsonl", "test.jsonl", "run.json")


@pytest.mark.parametrize("order", list(itertools.permutations(FOLDER)))
def test_a_folder_is_one_run_in_whatever_order_it_arrives(order: tuple[str, ...]) -> None:
    """With all its files and options, though each arrives seconds after the one before."""
    world = World()
    bodies = {"run.json": b'{"force": true}'}
    for name in order:
        put(world, f"support/{name}", bodies.get(name, rows(20, name)))
        look(world, SETTLE / 2)
    look(world, SETTLE + RESOLUTION)
    (run,) = runs(world)
    assert {file.path for file in run.source.files} == {f"support/{name}" for name in FOLDER[:3]}
    assert run.options.force


@pytest.mark.parametrize("say", ["run.json", "_SUCCESS"])
def test_an_uploader_may_say_that_a_folder_is_whole(say: str) -> None:
    """By a commit marker that comes last, or by options: the run opens at once."""
    world = World()
    put(world, "support/validation.jsonl", rows(20))
    if say == "run.json":
        put(world, "support/run.json", b'{"settle_seconds": 0}')
    world.now += timedelta(seconds=1)
    put(world, "support/train.jsonl", rows())
    if say == "_SUCCESS":
        assert runs(world) == []
        put(world, "support/_SUCCESS", b"")
    (run,) = runs(world)
    assert len(run.source.files) == 2


def test_a_marker_of_an_earlier_upload_says_nothing() -> None:
    """A file that is younger than the marker is waited for like any other."""
    world = World()
    put(world, "support/_SUCCESS", b"")
    world.now += timedelta(seconds=1)
    put(world, "support/train.jsonl", rows())
    assert runs(world) == []
    look(world, SETTLE + RESOLUTION)
    assert len(runs(world)) == 1


def test_an_append_blob_is_waited_for_though_appends_raise_no_event() -> None:
    """Its creation is the only event; it is looked at less and less often until it is left alone."""
    world = World()
    put(world, "log.jsonl", b"", kind=BlobKind.APPEND)
    body = b""
    for number in range(100):
        body += rows(1, str(number))
        world.uploads.put("log.jsonl", body, modified=world.now, kind=BlobKind.APPEND, md5=None)
        look(world, SETTLE / 2)
        assert runs(world) == []
        assert len(world.upload_checks.waiting) == 1
    ((check, delay),) = world.upload_checks.waiting
    assert check.attempt < 30
    assert delay <= SLOWEST
    look(world, SLOWEST + SETTLE + RESOLUTION)
    (run,) = runs(world)
    assert run.source.files[0].size == len(body)


def test_a_placeholder_opens_nothing_and_is_told_when_it_stays() -> None:
    """Data Lake clients create a file empty, and flush its content minutes later."""
    world = World()
    put(world, "lake/train.jsonl", b"")
    look(world, QUIET / 2)
    assert list(world.ignored_uploads.entries()) == []
    look(world, QUIET)
    (ignored,) = world.ignored_uploads.entries()
    assert ignored.reason == "EmptyFile"
    put(world, "lake/train.jsonl", rows())
    look(world, SETTLE + RESOLUTION)
    assert len(runs(world)) == 1
    assert list(world.ignored_uploads.entries()) == []


@pytest.mark.parametrize(
    ("kind", "renamed", "train"),
    [
        ("BlobRenamed", "gr%C3%B6%C3%9Fe/support.jsonl", None),
        ("BlobRenamed", "support/train.jsonl", "support/train.jsonl"),
        ("DirectoryRenamed", "team/support", "team/support/Train.ndjson"),
    ],
)
def test_a_rename_opens_the_run_of_the_new_name(kind: str, renamed: str, train: str | None) -> None:
    """Of a file, or of a folder that became whole under another name; a Data Lake raises no other event."""
    world = World()
    world.now += timedelta(days=1)
    if train is not None:
        world.uploads.put(train, rows())
    data = {"destinationUrl": f"https://account.dfs.core.windows.net/uploads/{renamed}"}
    opened = handle_upload_renamed(
        f"Microsoft.Storage.{kind}",
        data,
        container="uploads",
        settings=SETTLING,
        services=world.services,
    )
    assert [run.source.files[0].path for run in runs(world)] == ([train] if train else [])
    assert opened == list(world.runs.blobs)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"destinationUrl": 3}, {"destinationUrl": "https://a.example/elsewhere/train.jsonl"}],
)
def test_an_event_that_names_no_upload_opens_nothing(data: object) -> None:
    """Nor does one of another kind."""
    for kind in ("Microsoft.Storage.BlobRenamed", "Microsoft.Storage.BlobDeleted", None):
        world = World()
        opened = handle_upload_renamed(
            kind, data, container="uploads", settings=SETTLING, services=world.services
        )
        assert opened == []


def test_an_archived_file_is_told_of_at_once() -> None:
    """There is nothing to wait for."""
    world = World()
    put(world, "old.jsonl", rows(), archived=True)
    (ignored,) = world.ignored_uploads.entries()
    assert ignored.reason == "ArchiveTier"


@pytest.mark.parametrize("text", ["", "x", "[]", '{"path": ""}', json.dumps({"path": "x" * 2000})])
def test_a_message_that_names_no_upload_is_dropped(text: str) -> None:
    """Garbage is no reason to try five times."""
    handle_upload_message(text, container="uploads", settings=SETTLING, services=World().services)
