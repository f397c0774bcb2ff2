"""The promises of `RunStore`, and of `save_progress` above it, with the fake and with blobs in Azurite."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport

from handlers.http.request_changes import extend_endpoint
from local.azurite import Azurite
from shared.adapters.storage.run_store import BlobRunStore
from shared.domain.errors import (
    CorruptRunError,
    RequestError,
    RunChangedError,
    UnknownRunError,
)
from shared.domain.limits import Limits
from shared.domain.run.parts import Requests
from shared.domain.run.run import Run, enter
from shared.domain.run.stages import Stage
from shared.ports import RunStore, StoredRun
from shared.workflow.save_progress import save_progress, update_run
from tests.app.builders import NOW, RUN_ID, a_run
from tests.app.conftest import OwnContainers, seen_through
from tests.app.fake_storage import MemoryRuns
from tests.app.fakes import World

MALFORMED = ("", "..", "ft-a-0123456789/../x", "ft-a-0123456789\n", "x" * 5000)


@pytest.fixture(params=["memory", "blobs"])
def runs(request: pytest.FixtureRequest) -> RunStore:
    """An empty store of either kind."""
    if request.param == "memory":
        return MemoryRuns()
    return BlobRunStore(request.getfixturevalue("containers"))


def save(runs: RunStore, read: StoredRun, run: Run) -> StoredRun:
    """Write a worker's progress together with what callers wrote."""
    return save_progress(runs, read, run, yield_to_callers=False)


def save_unless_asked(runs: RunStore, read: StoredRun, run: Run) -> StoredRun:
    """Write a worker's progress, or return what callers wrote."""
    return save_progress(runs, read, run, yield_to_callers=True)


def changed(run: Run, **changes: Any) -> Run:
    """The run with some fields changed."""
    return msgspec.structs.replace(run, **changes)


def cancel(run: Run) -> Run:
    """What a caller's cancellation does to a record."""
    return changed(run, requests=changed_requests(run, cancel_at=NOW), due=NOW)


def changed_requests(run: Run, **changes: Any) -> Requests:
    """The run's requests with some fields changed."""
    return msgspec.structs.replace(run.requests, **changes)


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.FAILED])
def test_a_record_comes_back_as_it_was_written(runs: RunStore, stage: Stage) -> None:
    """Whatever a run has gathered, it survives storage, microseconds and all."""
    run = a_run(stage, dataset="Größe 支持 🙂", now=NOW + timedelta(microseconds=1))
    assert runs.create(run)
    assert runs.load(run.run_id).run == run


def test_a_record_is_created_once(runs: RunStore) -> None:
    """The second creation says so and changes nothing."""
    assert runs.create(a_run(Stage.TRAINING))
    assert not runs.create(a_run(Stage.RECEIVED))
    assert runs.load(RUN_ID).run.stage is Stage.TRAINING


@pytest.mark.parametrize("run_id", [*MALFORMED, "ft-nobody-0123456789"])
def test_there_is_no_run_of_such_a_name(runs: RunStore, run_id: str) -> None:
    """Names that would lead out of the container are as unknown as any other."""
    runs.create(a_run())
    for ask in (
        runs.load,
        runs.resume,
        lambda name: runs.suspend(name, "why", until=NOW + timedelta(hours=1)),
        lambda name: update_run(runs, name, cancel),
    ):
        with pytest.raises(UnknownRunError):
            ask(run_id)


def test_a_record_is_replaced_only_in_the_version_that_was_read(runs: RunStore) -> None:
    """The second writer of the same version, and whoever writes to a record that is gone, writes nothing."""
    runs.create(a_run(Stage.TRAINED))
    read = runs.load(RUN_ID)
    first = runs.replace(changed(read.run, failures=1), read.etag)
    assert first == runs.load(RUN_ID).etag != read.etag
    assert runs.replace(changed(read.run, failures=2), read.etag) is None
    assert runs.load(RUN_ID).run.failures == 1
    assert runs.replace(a_run(run_id="ft-nobody-0123456789"), read.etag) is None


def test_a_record_that_never_stands_still_is_given_up(runs: RunStore) -> None:
    """Neither a worker nor a caller tries for ever."""
    runs.create(a_run(Stage.TRAINED))
    read = runs.load(RUN_ID)
    never = Mock(wraps=runs, replace=Mock(return_value=None))
    with pytest.raises(RunChangedError):
        save(never, read, changed(read.run, failures=1))
    with pytest.raises(RunChangedError):
        update_run(never, RUN_ID, cancel)
    assert runs.load(RUN_ID) == read


def test_saving_keeps_what_callers_wrote_meanwhile(runs: RunStore) -> None:
    """A worker's write over a caller's newer one merges the two."""
    runs.create(a_run(Stage.TRAINED))
    read = runs.load(RUN_ID)
    update_run(runs, RUN_ID, cancel)
    update_run(runs, RUN_ID, lambda run: changed(run, last_used=NOW))
    saved = save(runs, read, changed(read.run, failures=3))
    assert (saved.run.failures, saved.run.requests.cancel_at, saved.run.last_used) == (3, NOW, NOW)
    assert runs.load(RUN_ID) == saved


def test_saving_yields_to_callers_where_it_should(runs: RunStore) -> None:
    """Yielding gives the caller's version back, so that a new decision can be made on it."""
    runs.create(a_run(Stage.TRAINED))
    read = runs.load(RUN_ID)
    asked = update_run(runs, RUN_ID, cancel)
    assert save_unless_asked(runs, read, enter(read.run, Stage.REGISTERED, NOW)).run == asked
    assert runs.load(RUN_ID).run == asked


def test_saving_minds_no_change_that_is_none(runs: RunStore) -> None:
    """A mark on the record, which changes its version and nothing else, is no request."""
    runs.create(a_run(Stage.TRAINED))
    read = runs.load(RUN_ID)
    runs.suspend(RUN_ID, "why", until=NOW + timedelta(hours=1))
    moved = enter(read.run, Stage.REGISTERED, NOW)
    assert save_unless_asked(runs, read, moved).run == moved


class LosingAnswers(RequestsTransport):  # type: ignore[misc]
    """A network that loses the answer to every first write; the SDK then repeats it."""

    lost = 0

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Begin with everything heard; `meanwhile` is what others do before a write is repeated."""
        super().__init__()
        self._meanwhile = meanwhile

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Send, and forget what came back."""
        response = super().send(request, **kwargs)
        if request.method == "PUT" and "If-Match" in request.headers and self.lost % 2 == 0:
            self.lost += 1
            self._meanwhile()
            raise ServiceResponseError("the answer was lost")
        self.lost += request.method == "PUT"
        return response


def test_a_write_whose_answer_was_lost_is_done_once(azurite: Azurite, containers: OwnContainers) -> None:
    """An SDK that repeats a write which had been done loses to itself: no error, and no second change."""
    BlobRunStore(containers).create(a_run(Stage.LIVE))
    transport = LosingAnswers()
    with seen_through(azurite, containers, transport) as lossy:
        runs = BlobRunStore(lossy)

        def extend(run: Run) -> Run:
            until = (run.requests.extended_to or NOW) + timedelta(hours=1)
            return changed(run, requests=changed_requests(run, extended_to=until))

        assert update_run(runs, RUN_ID, extend).requests.extended_to == NOW + timedelta(hours=1)
        read = runs.load(RUN_ID)
        assert read.run.requests.extended_to == NOW + timedelta(hours=1)
        saved = save_unless_asked(runs, read, enter(read.run, Stage.DELETING, NOW))
        assert saved == runs.load(RUN_ID)
    assert transport.lost == 4, "two writes, each sent twice"


def test_an_extension_whose_answer_was_lost_is_not_added_again(
    azurite: Azurite, containers: OwnContainers
) -> None:
    """Not even when somebody else has written over it before it is tried again."""
    runs = BlobRunStore(containers)
    runs.create(a_run(Stage.LIVE))

    def use() -> None:
        update_run(runs, RUN_ID, lambda run: changed(run, last_used=NOW))

    transport = LosingAnswers(meanwhile=use)
    with seen_through(azurite, containers, transport) as lossy:
        services = replace(World().services, runs=BlobRunStore(lossy))
        answer = extend_endpoint(RUN_ID, {"hours": 2}, limits=Limits(), services=services)
    assert answer.status == 200
    run = runs.load(RUN_ID).run
    assert (run.expires_at, run.last_used) == (NOW + timedelta(hours=24 + 2), NOW)
    assert transport.lost == 2, "sent, and repeated by the SDK"


def test_a_worker_that_was_overtaken_undoes_nothing(runs: RunStore) -> None:
    """One whose lease ran out cannot take back what its successor did."""
    runs.create(a_run(Stage.TRAINED))
    slow = runs.load(RUN_ID)
    quick = save(runs, slow, enter(slow.run, Stage.REGISTERED, NOW))
    quick = save(runs, quick, enter(quick.run, Stage.DEPLOYING, NOW))
    for write in (save, save_unless_asked):
        with pytest.raises(RunChangedError):
            write(runs, slow, changed(slow.run, failures=1))
    assert runs.load(RUN_ID).run == quick.run


def test_updates_of_many_callers_are_all_kept(runs: RunStore) -> None:
    """Callers who write at once each find the others' writes: nothing is lost."""
    runs.create(a_run(Stage.LIVE))
    hour = timedelta(hours=1)

    def extend(run: Run) -> Run:
        until = (run.requests.extended_to or NOW) + hour
        return changed(run, requests=changed_requests(run, extended_to=until))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: update_run(runs, RUN_ID, extend), range(8)))
    assert runs.load(RUN_ID).run.requests.extended_to == NOW + 8 * hour


def test_an_update_that_refuses_writes_nothing(runs: RunStore) -> None:
    """An error of the change leaves the record and its version alone."""
    runs.create(a_run(Stage.LIVE))
    before = runs.load(RUN_ID)

    def refuse(_run: Run) -> Run:
        raise RequestError(409, "no", code="No")

    with pytest.raises(RequestError):
        update_run(runs, RUN_ID, refuse)
    assert update_run(runs, RUN_ID, lambda run: run) == before.run
    assert runs.load(RUN_ID) == before


def test_the_index_lists_every_run(runs: RunStore) -> None:
    """One listing has each run's stage and when it is due, without a record being read."""
    made = [a_run(stage, run_id=f"ft-a-{number:010x}") for number, stage in enumerate(Stage)]
    for run in made:
        runs.create(run)
    listed = {entry.run_id: (entry.stage, entry.due) for entry in runs.entries()}
    assert listed == {run.run_id: (run.stage, run.due) for run in made}


def test_the_index_follows_the_record(runs: RunStore) -> None:
    """Whoever writes the record writes its entry with it."""
    runs.create(a_run(Stage.TRAINED))
    read = runs.load(RUN_ID)
    save(runs, read, enter(read.run, Stage.REGISTERED, NOW))
    update_run(runs, RUN_ID, lambda run: changed(run, due=NOW + timedelta(hours=1)))
    (entry,) = runs.entries()
    assert (entry.stage, entry.due) == (Stage.REGISTERED, NOW + timedelta(hours=1))


def test_pages_cover_every_run_once_in_order(runs: RunStore) -> None:
    """Pages of any size hold all runs, each once, in the order of their names."""
    names = [f"ft-a-{number:010x}" for number in range(7)]
    for name in reversed(names):
        runs.create(a_run(run_id=name))
    for limit in (1, 3, 7, 8):
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = runs.page(limit=limit, cursor=cursor)
            assert len(page.entries) <= limit
            found += [entry.run_id for entry in page.entries]
            if (cursor := page.next) is None:
                break
        assert found == names


def test_an_empty_store_has_one_empty_page(runs: RunStore) -> None:
    """No runs is an answer."""
    page = runs.page(limit=5, cursor=None)
    assert (page.entries, page.next) == ((), None)


@pytest.mark.parametrize("cursor", ["x", "é", "E107"])
def test_a_cursor_that_is_none_of_ours_is_refused(runs: RunStore, cursor: str) -> None:
    """Garbage in a query is the caller's fault, never the server's."""
    runs.create(a_run())
    with pytest.raises(RequestError) as caught:
        runs.page(limit=5, cursor=cursor)
    assert caught.value.status == 400


def test_a_suspended_run_waits_for_its_time_or_its_next_write(runs: RunStore) -> None:
    """Suspending shows in the index with its reason; undoing it says whether there was something to undo."""
    runs.create(a_run(Stage.TRAINING))
    runs.suspend(RUN_ID, "Größe: 1\n2 " + "x" * 2000, until=NOW + timedelta(hours=1))
    (entry,) = runs.entries()
    assert entry.suspended is not None
    assert entry.suspended.startswith("Größe: 1\n2 xxx")
    assert not entry.is_due(NOW + timedelta(minutes=59))
    assert entry.is_due(NOW + timedelta(hours=1))
    assert runs.load(RUN_ID).run.stage is Stage.TRAINING
    assert runs.load(RUN_ID).suspended == entry.suspended
    assert runs.resume(RUN_ID)
    assert runs.load(RUN_ID).suspended is None
    before = runs.load(RUN_ID).etag
    assert not runs.resume(RUN_ID)
    assert runs.load(RUN_ID).etag == before
    (entry,) = runs.entries()
    assert entry.is_due(NOW)
    assert (entry.suspended, entry.suspended_until) == (None, None)

    runs.suspend(RUN_ID, "again", until=NOW + timedelta(hours=1))
    update_run(runs, RUN_ID, cancel)
    assert runs.entries()[0].is_due(NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b"{}",
        msgspec.json.encode(a_run()).replace(b'"received"', b'"unheard-of"'),
        msgspec.json.encode(a_run()).replace(b"2026-03-01T12:00:00Z", b"2026-03-01T12:00:00"),
        msgspec.json.encode({**msgspec.to_builtins(a_run()), "history": []}),
        msgspec.json.encode(
            {**msgspec.to_builtins(a_run()), "source": {"container": "uploads", "files": []}},
        ),
    ],
)
def test_an_unreadable_record_is_a_corrupt_one(
    body: bytes, request: pytest.FixtureRequest, containers: OwnContainers
) -> None:
    """Broken, foreign or incomplete records are told apart from unknown ones, and can be suspended."""
    memory, blobs = MemoryRuns(), BlobRunStore(containers)
    memory.create(a_run())
    memory.corrupt(RUN_ID, body)
    blobs.create(a_run())
    container = containers.get_container_client("runs")
    kept = container.get_blob_client(f"{RUN_ID}.json").get_blob_properties().metadata
    container.upload_blob(f"{RUN_ID}.json", body, overwrite=True, metadata=kept)
    stores: tuple[RunStore, ...] = (memory, blobs)
    for store in stores:
        with pytest.raises(CorruptRunError):
            store.load(RUN_ID)
        with pytest.raises(CorruptRunError):
            update_run(store, RUN_ID, cancel)
        store.suspend(RUN_ID, "CorruptRunError", until=NOW + timedelta(hours=1))
        (entry,) = store.entries()
        assert entry.needs_attention(NOW)
        assert store.resume(RUN_ID)


def test_a_foreign_blob_among_the_records_harms_nobody(containers: OwnContainers) -> None:
    """What somebody else put into the container shows up as needing a person, and is never due."""
    store = BlobRunStore(containers)
    store.create(a_run())
    containers.get_container_client("runs").upload_blob("notes/readme.txt", b"hello")
    entries = {entry.run_id: entry for entry in store.entries()}
    foreign = entries.pop(next(name for name in entries if "readme" in name))
    assert foreign.needs_attention(NOW)
    assert not foreign.is_due(NOW)
    assert set(entries) == {RUN_ID}
